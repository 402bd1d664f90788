"""The end of a run: evaluation, and the results."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from clsnorm import distributed
from clsnorm.experiment.assembly import Experiment
from clsnorm.failure import RULE, Outcome
from clsnorm.metrics import has_collapsed
from clsnorm.model.encoder.freezing import count_trained
from clsnorm.run_folder import provenance
from clsnorm.run_folder.results import finite

log = logging.getLogger(__name__)


def conclude(experiment: Experiment) -> dict[str, Any]:
    """Evaluates the last and the selected weights on the report split and gathers the results."""
    trainer, selected = experiment.trainer, experiment.records.selected
    steps = trainer.global_step
    majority = experiment.data.majority_score("report")
    at_end = chosen = _test(experiment, quietly=steps != selected.step)
    collapsed = collapsed_selected = _has_collapsed(experiment, at_end, majority)
    verdict = verdict_selected = _judge(experiment)
    if steps != selected.step:
        chosen = _test(experiment, weights=experiment.folder.selected)
        collapsed_selected, verdict_selected = _has_collapsed(experiment, chosen, majority), _judge(experiment)
    metrics = (
        experiment.module.classifier.matching.summary()
        | dict(selected.metrics)
        | chosen
        | {f"last/{key}": value for key, value in at_end.items()}
    )
    for observer in experiment.observers.values():  # names that exist already are of the selected weights
        metrics |= {f"last/{k}" if k in selected.metrics else k: v for k, v in observer.summary().items()}
    return _results(experiment) | {
        "metrics": _finite(metrics),
        "majority": majority,
        "collapsed": collapsed,
        "collapsed_selected": collapsed_selected,
        "failed": verdict.failed,
        "failed_selected": verdict_selected.failed,
        "failure": {"rule": RULE, "last": verdict.record(), "selected": verdict_selected.record()},
        "steps": steps,
    }


def _test(experiment: Experiment, *, quietly: bool = False, weights: Path | None = None) -> dict[str, float]:
    """Returns the scores on the report splits, of the current weights or of a checkpoint's."""
    trainer = experiment.trainer
    loggers, trainer.loggers = trainer.loggers, [] if quietly else trainer.loggers
    trainer.test(experiment.module, datamodule=experiment.data, verbose=False, ckpt_path=weights, weights_only=True)
    trainer.loggers = loggers
    return {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("report")}


def _has_collapsed(experiment: Experiment, scores: dict[str, float], majority: float) -> bool:
    """Returns whether the last test pass shows a collapsed model."""
    score, share = scores[f"report/{experiment.data.monitor}"], experiment.records.predictions.largest_share
    return has_collapsed(score, majority, mode=experiment.data.mode, largest_share=share)


def _judge(experiment: Experiment) -> Outcome:
    """Returns whether the last test pass shows a failed model, and by which numbers."""
    data, (values, labels) = experiment.data, experiment.records.predictions.first
    return data.judge(values, labels)


def _ending(experiment: Experiment) -> dict[str, str | None]:
    """Returns how training ended."""
    diverged, aborted_by = experiment.records.divergence.step >= 0, experiment.records.abort.by
    return {"status": "diverged" if diverged else "aborted" if aborted_by else "completed", "aborted_by": aborted_by}


def _results(experiment: Experiment) -> dict[str, Any]:
    config, data, trainer = experiment.config, experiment.data, experiment.trainer
    records = experiment.records
    return {
        **_ending(experiment),
        **{key: config["choices"][key] for key in ("data", "normalizer", "model")},
        "normalizer_details": experiment.module.classifier.calibrated.details(),
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
        "frozen": _frozen(experiment),
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


def _frozen(experiment: Experiment) -> dict[str, Any] | None:
    """Returns what was not trained of the encoder; None if all of it was."""
    classifier = experiment.module.classifier
    if not classifier.encoder.frozen_layers:
        return None
    trained, whole = count_trained(classifier)
    return {
        "part": classifier.encoder.frozen_part(),
        "dropout": "off in the frozen part",
        "trained_parameters": trained,
        "parameters": whole,
        "encoding_seconds": experiment.records.stopwatch.encoding_seconds,
    }


def _finite(metrics: dict[str, float]) -> dict[str, float | None]:
    """Replaces NaN and inf by None and logs the names."""
    found = finite(metrics)
    nulls = [name for name, value in found.items() if value is None]
    if nulls and distributed.rank() == 0:
        log.warning("not finite, so null in results.json: %s", ", ".join(nulls))
    return found
