"""One run, from configuration to results: the only module that knows all parts."""

from __future__ import annotations

import logging
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from clsnorm import checks, distributed, launch, naming
from clsnorm.calibration import calibrate
from clsnorm.callbacks import Observer
from clsnorm.data import DataModule
from clsnorm.errors import InputError
from clsnorm.instantiation import instantiate, instantiate_partial
from clsnorm.model import Classifier, FineTuner, load_tokenizer
from clsnorm.records import (
    Divergence,
    MetricsCsv,
    Predictions,
    ResumePoint,
    RunFolder,
    SelectedWeights,
    Stopwatch,
    provenance,
)
from clsnorm.records.checkpoints import position
from clsnorm.records.files import write_json
from clsnorm.records.results import at_or_below, majority_score, print_table

log = logging.getLogger(__name__)
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its advice is for those who call it themselves
warnings.filterwarnings("ignore", message=".*LeafSpec", module="pytorch_lightning")  # its own, on today's torch


def run(config: DictConfig) -> float | None:
    """Runs one composed configuration in its folder, on one device or several.

    A folder that holds the finished run is shown, not run again; an interrupted one goes on.

    Returns:
        The monitored metric on the select split, of the selected checkpoint.

    Raises:
        InputError: If the user's input is refused; nothing new is left behind then.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get().runtime
    folder = RunFolder(Path(hydra.output_dir))
    choices = OmegaConf.to_container(hydra.choices)
    with folder.claim(plain := resolve(config, choices)) as finished:  # type: ignore[arg-type]
        if finished is not None:
            _say_finished(finished, folder)
        else:
            processes = checks.check(plain)
            _execute_or_launch(plain, folder, processes)
        results = folder.read_results()
    assert results is not None
    print_table(results, folder.path)
    return results["metrics"].get(f"select/{results['monitor']}")


def resolve(config: DictConfig, choices: dict[str, Any]) -> dict[str, Any]:
    """Returns ``config`` as plain values, with its hash and the chosen option of each group."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    plain["config_hash"] = naming.config_hash(config)
    plain["choices"] = {key: value for key, value in choices.items() if key in plain or key == "experiment"}
    return plain


def _execute_or_launch(config: dict[str, Any], folder: RunFolder, processes: int) -> None:
    if processes > 1:
        launch.launch(folder.path, processes=processes)
    else:
        execute(config, folder)


def _say_finished(results: dict[str, Any], folder: RunFolder) -> None:
    here = provenance.commit()
    differs = "" if here == results["commit"] else f", at commit {results['commit']} (here: {here})"
    log.info("finished before%s: %s; force=true runs it again", differs, folder.path)


@dataclass
class Experiment:
    """The built parts of a run."""

    config: dict[str, Any]
    folder: RunFolder
    data: DataModule
    module: FineTuner
    trainer: pl.Trainer
    metrics_csv: MetricsCsv
    selected: SelectedWeights
    stopwatch: Stopwatch
    divergence: Divergence


def build(config: dict[str, Any], folder: RunFolder) -> Experiment:
    """Builds every part of a run, data first; nothing is trained or calibrated yet.

    Raises:
        InputError: If a part refuses its configuration.
    """
    stopwatch = Stopwatch(time.perf_counter())
    seeds = config["seeds"]
    pl.seed_everything(seeds["init"], verbose=False)
    tokenizer = load_tokenizer(config["model"]["path"], sha256=config["model"].get("sha256"))
    encoder = instantiate(config["model"], "model")
    _check_length(config["data"]["max_length"], encoder.max_length)
    data = _build_data(config, tokenizer, packed=encoder.can_pack)
    classifier = _assemble(config, encoder, num_outputs=data.num_outputs)
    module = FineTuner(
        classifier,
        regression=data.regression,
        metrics=data.metrics,
        report_names=data.report_names,
        optimizer=instantiate_partial(config["optimizer"], "optimizer"),
        scheduler=instantiate_partial(config["scheduler"], "scheduler"),
        seed_dropout=seeds["dropout"],
    )
    metrics_csv = MetricsCsv(folder.metrics)
    selected = SelectedWeights(folder.selected, monitor=f"select/{data.monitor}", mode=data.mode)
    divergence = Divergence()
    predictions = Predictions(folder.predictions, regression=data.regression, parts=data.report_names)
    resume_point = ResumePoint(folder.last, every=config["checkpoint_every"])
    records = [stopwatch, divergence, predictions, selected, resume_point]
    trainer = _build_trainer(config, folder, metrics_csv, records)
    return Experiment(config, folder, data, module, trainer, metrics_csv, selected, stopwatch, divergence)


def build_classifier(config: dict[str, Any], *, num_outputs: int) -> tuple[Classifier, Any]:
    """Returns the classifier of a configuration, untrained, and its tokenizer."""
    tokenizer = load_tokenizer(config["model"]["path"], sha256=config["model"].get("sha256"))
    encoder = instantiate(config["model"], "model")
    return _assemble(config, encoder, num_outputs=num_outputs), tokenizer


def _assemble(config: dict[str, Any], encoder: Any, *, num_outputs: int) -> Classifier:
    normalizer = instantiate(config["normalizer"], "normalizer", encoder.dim)
    seed = config["seeds"]["init"]
    return instantiate(config["classifier"], "classifier", encoder, normalizer, num_outputs=num_outputs, seed_init=seed)


def _check_length(wanted: int, limit: int | None) -> None:
    if limit is not None and wanted > limit:
        raise InputError(
            f"Expected data.max_length to be at most {limit}, the most tokens the model has positions for, but got "
            f"{wanted}. Set data.max_length={limit}"
        )


def _build_data(config: dict[str, Any], tokenizer: Any, *, packed: bool) -> DataModule:
    node = {**config["data"], "packed": config["data"]["packed"] and packed}
    seeds = config["seeds"]
    data = instantiate(
        node,
        "data",
        tokenizer=tokenizer,
        seed_order=seeds["order"],
        seed_subset=seeds["subset"],
        rank=distributed.rank(),
        world_size=distributed.world_size(),
    )
    _prepare(data)
    return data


def _prepare(data: DataModule) -> None:
    """Lets the first process fill the cache that the others read, and refuses on all of them what it refuses."""
    refusal = None
    if distributed.rank() == 0:
        try:
            data.prepare()
        except InputError as error:
            refusal = str(error)
    if refusal := distributed.broadcast_object(refusal):
        raise InputError(refusal)
    data.prepare()


def _build_trainer(
    config: dict[str, Any], folder: RunFolder, metrics_csv: MetricsCsv, records: list[pl.Callback]
) -> pl.Trainer:
    observers = [instantiate(node, "callbacks") for node in (config["callbacks"] or {}).values()]
    loggers = [
        instantiate(node, "logger", folder=folder.path, config=config) for node in (config["logger"] or {}).values()
    ]
    shows_progress = any(isinstance(observer, pl.callbacks.ProgressBar) for observer in observers)
    node = {**config["trainer"], "devices": distributed.world_size(), "_partial_": True}
    return instantiate(
        node,
        "trainer",
        default_root_dir=folder.path,
        logger=[metrics_csv, *loggers],
        callbacks=[*observers, *records],
        enable_progress_bar=shows_progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the data module splits each global batch by itself
    )


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
        _record_error(error, folder, input_too=distributed.is_active())
        _close_loggers(experiment, crashed=True)
        raise
    _close_loggers(experiment, crashed=False)
    if distributed.rank() == 0:
        write_json(folder.results, results)
        folder.last.unlink(missing_ok=True)
    distributed.barrier()


def _train(experiment: Experiment) -> None:
    config, folder, data = experiment.config, experiment.folder, experiment.data
    resume = folder.last if folder.last.exists() else None
    if resume is not None:
        epoch, start, step = position(resume, batches_per_epoch=data.steps_per_epoch)
        data.resume_at(epoch, start)
        experiment.metrics_csv.keep_until(step)
        log.info("going on from step %d", step)
    else:
        _check_batches(experiment)
        device = experiment.trainer.strategy.root_device
        cache = Path(config["paths"]["cache"]).expanduser() / "calibrations"
        calibrate(experiment.module.classifier, data, cache=cache, device=device)
        if distributed.rank() == 0:
            provenance.write_diff(folder.path / "changes.diff")
    experiment.trainer.fit(experiment.module, datamodule=data, ckpt_path=resume, weights_only=True)
    if experiment.selected.last_validated != experiment.trainer.global_step:
        experiment.trainer.validate(experiment.module, datamodule=data, verbose=False)


def _check_batches(experiment: Experiment) -> None:
    """Refuses batches that the normalizer cannot take, before the first of them comes."""
    needed, data = experiment.module.classifier.normalizer.min_batch_size, experiment.data
    smallest = data.train_size % data.batch_size or min(data.batch_size, data.train_size)
    if smallest < needed:
        raise InputError(
            f"normalizer={experiment.config['choices']['normalizer']} needs at least {needed} examples in each "
            f"training batch, but {data.train_size} examples in batches of {data.batch_size} leave one of {smallest}. "
            "Choose another data.batch_size or data.max_train_examples"
        )


def _conclude(experiment: Experiment) -> dict[str, Any]:
    """Evaluates the last and the selected weights on the report split and gathers the results."""
    trainer, selected = experiment.trainer, experiment.selected
    steps = trainer.global_step
    at_end = _test(experiment, quietly=steps != selected.step)
    chosen = at_end
    if steps != selected.step:
        state = torch.load(experiment.folder.selected, map_location="cpu", weights_only=True)["state_dict"]
        experiment.module.load_state_dict(state)
        chosen = _test(experiment)
    monitor, mode = f"report/{experiment.data.monitor}", experiment.data.mode
    majority = _majority(experiment.data)
    metrics = dict(selected.metrics) | chosen | {f"last/{key}": value for key, value in at_end.items()}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Observer):
            metrics |= callback.summary()
    return _results(experiment) | {
        "metrics": metrics,
        "majority": majority,
        "collapsed": at_or_below(at_end[monitor], majority, mode=mode),
        "collapsed_selected": at_or_below(chosen[monitor], majority, mode=mode),
        "steps": steps,
    }


def _test(experiment: Experiment, *, quietly: bool = False) -> dict[str, float]:
    trainer = experiment.trainer
    loggers, trainer.loggers = trainer.loggers, [] if quietly else trainer.loggers
    trainer.test(experiment.module, datamodule=experiment.data, verbose=False)
    trainer.loggers = loggers
    return {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("report")}


def _majority(data: DataModule) -> float:
    return majority_score(
        data.metrics[data.monitor],
        data.labels_of("report"),
        constant=data.majority(),
        num_outputs=data.num_outputs,
        regression=data.regression,
    )


def _results(experiment: Experiment) -> dict[str, Any]:
    from clsnorm.records.watch import peak_memory_mb

    config, data, trainer = experiment.config, experiment.data, experiment.trainer
    return {
        "status": "diverged" if experiment.divergence.step >= 0 else "completed",
        **{key: config["choices"][key] for key in ("data", "normalizer", "model")},
        "seed": config["seed"],
        "seeds": config["seeds"],
        "config_hash": config["config_hash"],
        "monitor": data.monitor,
        "num_outputs": data.num_outputs,
        "train_examples": data.train_size,
        "selected_step": experiment.selected.step,
        "epochs": trainer.current_epoch,
        "seconds": experiment.stopwatch.elapsed,
        "examples_per_second": experiment.stopwatch.examples_per_second,
        "peak_memory_mb": peak_memory_mb(),
        "source": data.source_record,
        "devices": distributed.world_size(),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }


def _record_error(error: BaseException, folder: RunFolder, *, input_too: bool) -> None:
    """Writes ``error.json``, once: the first fault explains those that follow on other ranks."""
    if folder.error.exists() or isinstance(error, KeyboardInterrupt | SystemExit):
        return
    if isinstance(error, InputError) and not input_too:
        return
    text = "".join(traceback.format_exception(error))
    write_json(folder.error, {"kind": type(error).__name__, "message": str(error), "traceback": text})
    if not isinstance(error, InputError):
        log.error("crashed: %s: %s (%s)", type(error).__name__, error, folder.error)


def _close_loggers(experiment: Experiment | None, *, crashed: bool) -> None:
    for logger in experiment.trainer.loggers if experiment else []:
        logger.close(crashed=crashed)  # type: ignore[attr-defined]
