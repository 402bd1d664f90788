"""One run: train, evaluate, write ``results.json``."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from clsnorm import distributed
from clsnorm.errors import InputError
from clsnorm.experiment.assembly import Experiment, build
from clsnorm.experiment.calibration import Recalibration, calibrate, match_head
from clsnorm.experiment.reuse import require_same_data
from clsnorm.files import write_json
from clsnorm.metrics import has_collapsed
from clsnorm.records.checkpoints import count_events, position
from clsnorm.run_folder import provenance
from clsnorm.run_folder.folder import RunFolder
from clsnorm.run_folder.results import finite

log = logging.getLogger(__name__)
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its advice is for those who call it themselves
warnings.filterwarnings("ignore", message=".*LeafSpec", module="pytorch_lightning")  # its own, on today's torch


def execute(config: dict[str, Any], folder: RunFolder) -> None:
    """Trains, evaluates and writes ``results.json``, on this process alone or as one of several workers.

    Raises:
        InputError: If a part refuses its configuration.
    """
    experiment = None
    try:
        experiment = build(config, folder)
        _train(experiment)
        results = _conclude(experiment)
    except BaseException as error:
        folder.record_error(error, parent_tells=distributed.is_active())
        _close_loggers(experiment, None)
        if isinstance(error, SystemExit):  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from error
        raise
    _close_loggers(experiment, results)
    if distributed.rank() == 0:
        write_json(folder.results, results)
        folder.last.unlink(missing_ok=True)
    distributed.barrier()


def _train(experiment: Experiment) -> None:
    config, folder, data = experiment.config, experiment.folder, experiment.data
    records = experiment.records
    resume = folder.last if folder.last.exists() else None
    if resume is not None:
        require_same_data(resume, data)
        epoch, start, step = position(resume, batches_per_epoch=data.steps_per_epoch)
        data.resume_at(epoch, start)
        records.metrics_csv.keep_until(step)
        if distributed.rank() == 0:
            records.events.keep(count_events(resume))
            records.events.add(step=step, kind="resumed")
        log.info("going on from step %d", step)
    else:
        records.metrics_csv.keep_until(0)  # of a run that ended before its first resume point
        if distributed.rank() == 0:
            records.events.keep(0)
        _check_batches(experiment)
        device = experiment.trainer.strategy.root_device
        cache = Path(config["paths"]["cache"]).expanduser() / "calibrations"
        records.stopwatch.calibrate(lambda: calibrate(experiment.module.classifier, data, cache=cache, device=device))
        match_head(experiment.module.classifier, data, device=device)
        step = 0
    if distributed.rank() == 0:
        provenance.write_diff(folder.path, step=step)
    experiment.trainer.callbacks.append(Recalibration(data, records.recalibrated))  # type: ignore[attr-defined]
    experiment.trainer.fit(experiment.module, datamodule=data, ckpt_path=resume, weights_only=True)
    if records.selected.last_validated != experiment.trainer.global_step:
        experiment.trainer.validate(experiment.module, datamodule=data, verbose=False)


def _check_batches(experiment: Experiment) -> None:
    """Refuses batches that the normalizer cannot take, and validations that never come, before the first step."""
    needed, data = experiment.module.classifier.normalizer.min_batch_size, experiment.data
    interval = experiment.config["trainer"]["val_check_interval"]
    if isinstance(interval, int) and interval > data.steps_per_epoch:
        raise InputError(
            f"Expected trainer.val_check_interval to be at most {data.steps_per_epoch}, the batches of an epoch, but "
            f"got {interval}. A share of an epoch, such as 0.5, fits any data set"
        )
    smallest = data.train_size % data.batch_size or min(data.batch_size, data.train_size)
    if smallest < needed:
        raise InputError(
            f"normalizer={experiment.config['choices']['normalizer']} needs at least {needed} examples in each "
            f"training batch, but {data.train_size} examples in batches of {data.batch_size} leave one of {smallest}. "
            "Choose another data.batch_size or data.max_train_examples"
        )


def _conclude(experiment: Experiment) -> dict[str, Any]:
    """Evaluates the last and the selected weights on the report split and gathers the results."""
    trainer, selected = experiment.trainer, experiment.records.selected
    steps = trainer.global_step
    majority = experiment.data.majority_score("report")
    at_end = chosen = _test(experiment, quietly=steps != selected.step)
    collapsed = collapsed_selected = _has_collapsed(experiment, at_end, majority)
    if steps != selected.step:
        chosen = _test(experiment, weights=experiment.folder.selected)
        collapsed_selected = _has_collapsed(experiment, chosen, majority)
    metrics = (
        _first_steps(experiment)
        | dict(selected.metrics)
        | chosen
        | {f"last/{key}": value for key, value in at_end.items()}
    )
    for observer in experiment.observers.values():  # what stands there already is of the selected weights
        metrics |= {f"last/{k}" if k in selected.metrics else k: v for k, v in observer.summary().items()}
    return _results(experiment) | {
        "metrics": finite(metrics),
        "majority": majority,
        "collapsed": collapsed,
        "collapsed_selected": collapsed_selected,
        "steps": steps,
    }


def _first_steps(experiment: Experiment) -> dict[str, float]:
    """How far one unit step of the head moved the logits at the start, and its learning rate's factor."""
    classifier = experiment.module.classifier
    own, of_identity = classifier.first_steps.tolist()
    return {
        "head/first_step": own,
        "head/first_step_of_identity": of_identity,
        "head/rate": float(classifier.head_rate),
    }


def _test(experiment: Experiment, *, quietly: bool = False, weights: Path | None = None) -> dict[str, float]:
    """Returns the scores on the report splits, of the weights as they are or as a checkpoint has them."""
    trainer = experiment.trainer
    loggers, trainer.loggers = trainer.loggers, [] if quietly else trainer.loggers
    trainer.test(experiment.module, datamodule=experiment.data, verbose=False, ckpt_path=weights, weights_only=True)
    trainer.loggers = loggers
    return {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("report")}


def _has_collapsed(experiment: Experiment, scores: dict[str, float], majority: float) -> bool:
    """Judges the test pass that has just been made."""
    score, share = scores[f"report/{experiment.data.monitor}"], experiment.records.predictions.largest_share
    return has_collapsed(score, majority, mode=experiment.data.mode, largest_share=share)


def _ending(experiment: Experiment) -> dict[str, str | None]:
    """How training ended."""
    diverged, aborted_by = experiment.records.divergence.step >= 0, experiment.records.abort.by
    return {"status": "diverged" if diverged else "aborted" if aborted_by else "completed", "aborted_by": aborted_by}


def _results(experiment: Experiment) -> dict[str, Any]:
    config, data, trainer = experiment.config, experiment.data, experiment.trainer
    records = experiment.records
    return {
        **_ending(experiment),
        **{key: config["choices"][key] for key in ("data", "normalizer", "model")},
        "seed": config["seed"],
        "seeds": config["seeds"],
        "config_hash": config["config_hash"],
        "monitor": data.monitor,
        "num_outputs": data.num_outputs,
        "train_examples": data.train_size,
        "selected_step": records.selected.step,
        "epochs": trainer.current_epoch,
        "seconds": records.stopwatch.elapsed,
        "calibration_seconds": records.stopwatch.calibration_seconds,
        "examples_per_second": records.stopwatch.examples_per_second,
        "training_seconds": records.stopwatch.seconds,
        "profile": records.profile.shares(records.stopwatch.seconds),
        "peak_memory_mb": records.memory.mb(),
        "source": data.source_record,
        "devices": distributed.world_size(),
        "versions": provenance.versions(),
        "commit": records.resume_point.commits[0],
        "later_commits": records.resume_point.commits[1:],
    }


def _close_loggers(experiment: Experiment | None, results: dict[str, Any] | None) -> None:
    for logger in experiment.trainer.loggers if experiment else []:
        logger.close(results)  # type: ignore[attr-defined]
