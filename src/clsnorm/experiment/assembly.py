"""From a resolved configuration to the parts of a run, wired but not yet trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from clsnorm import distributed
from clsnorm.callbacks import Observer
from clsnorm.config.roles import instantiate, instantiate_partial, nodes_of
from clsnorm.data import DataModule
from clsnorm.errors import InputError
from clsnorm.loggers.metrics_csv import MetricsCsv
from clsnorm.model import Classifier, Encoder, FineTuner, load_tokenizer
from clsnorm.records import (
    Abort,
    Divergence,
    Memory,
    Predictions,
    Profile,
    ResumePoint,
    SelectedWeights,
    SkippedSteps,
    Stopwatch,
)
from clsnorm.run_folder import provenance
from clsnorm.run_folder.events import Events
from clsnorm.run_folder.folder import RunFolder


@dataclass
class Records:
    """What every run notes of itself: files, and callbacks beside the observers."""

    metrics_csv: MetricsCsv
    events: Events
    stopwatch: Stopwatch
    memory: Memory
    divergence: Divergence
    skipped: SkippedSteps
    abort: Abort
    predictions: Predictions
    profile: Profile
    selected: SelectedWeights
    resume_point: ResumePoint

    def recalibrated(self, step: int, seconds: float) -> None:
        """Notes that the normalizer was calibrated anew before optimizer step number ``step``, and what that cost."""
        self.stopwatch.calibration_seconds += seconds
        if distributed.rank() == 0:
            self.events.add(step=step, kind="recalibrated", value=round(seconds, 3))

    @property
    def callbacks(self) -> list[pl.Callback]:
        """Those that Lightning calls, in this order: the resume point holds the state of all others."""
        return [
            self.stopwatch,
            self.memory,
            self.divergence,
            self.skipped,
            self.abort,
            self.predictions,
            self.profile,
            self.selected,
            self.resume_point,
        ]


@dataclass
class Experiment:
    """The built parts of a run."""

    config: dict[str, Any]
    folder: RunFolder
    data: DataModule
    module: FineTuner
    trainer: pl.Trainer
    observers: dict[str, Observer]
    records: Records


def build(config: dict[str, Any], folder: RunFolder) -> Experiment:
    """Builds every part of a run; nothing is trained or calibrated yet.

    Raises:
        InputError: If a part refuses its configuration.
    """
    stopwatch, memory = Stopwatch(time.perf_counter()), Memory()
    commit = provenance.commit()  # now: by the end of the run the files may be others
    pl.seed_everything(config["seeds"]["init"], verbose=False)
    optimizer, scheduler = _optimization(config)
    loggers = _all_of(config, "logger", folder=folder.path, config=config)
    callbacks = _all_of(config, "callbacks")
    encoder, tokenizer = load_pretrained(config)
    _check_length(config["data"]["max_length"], encoder.max_length)
    data = build_data(config, tokenizer, packed=encoder.can_pack)
    module = FineTuner(
        _assemble(config, encoder, num_outputs=data.num_outputs),
        regression=data.regression,
        metrics=data.metrics,
        report_names=data.report_names,
        optimizer=optimizer,
        scheduler=scheduler,
        seed_dropout=config["seeds"]["dropout"],
    )
    observers = {name: callback for name, callback in callbacks.items() if isinstance(callback, Observer)}
    for observer in observers.values():
        observer.check(dim=encoder.dim)
    records = _build_records(config, folder, data, observers, commit=commit, stopwatch=stopwatch, memory=memory)
    records.events.loggers = [*loggers.values()]
    trainer = _build_trainer(
        config,
        folder,
        loggers=[records.metrics_csv, *loggers.values()],
        callbacks=[*callbacks.values(), *records.callbacks],
    )
    return Experiment(config, folder, data, module, trainer, observers, records)


def _all_of(config: dict[str, Any], group: str, /, **named: Any) -> dict[str, Any]:
    """Returns what a group of several describes, by name; before data are read: it may refuse a typed value."""
    return {
        place.removeprefix(f"{group}."): instantiate(node, place, **named)
        for place, node in nodes_of(config, group).items()
    }


def build_classifier(config: dict[str, Any], *, num_outputs: int) -> tuple[Classifier, Any]:
    """Returns the classifier of a configuration, untrained, and its tokenizer."""
    encoder, tokenizer = load_pretrained(config)
    return _assemble(config, encoder, num_outputs=num_outputs), tokenizer


def load_pretrained(config: dict[str, Any]) -> tuple[Encoder, Any]:
    """Returns the encoder of a configuration, and its tokenizer."""
    encoder = instantiate(config["model"], "model")
    return encoder, load_tokenizer(config["model"]["path"])  # the encoder has checked the files' digest


def _assemble(config: dict[str, Any], encoder: Encoder, *, num_outputs: int) -> Classifier:
    normalizer = instantiate(config["normalizer"], "normalizer", encoder.dim)
    seed = config["seeds"]["init"]
    return instantiate(config["classifier"], "classifier", encoder, normalizer, num_outputs=num_outputs, seed_init=seed)


def _optimization(config: dict[str, Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Returns how to build optimizer and schedule, tried at once: Lightning builds them late."""
    optimizer = instantiate_partial(config["optimizer"], "optimizer")
    trial = instantiate(config["optimizer"], "optimizer", [torch.nn.Parameter(torch.zeros(1))])
    scheduler = instantiate_partial(config["scheduler"], "scheduler")
    instantiate(config["scheduler"], "scheduler", trial, num_training_steps=1)
    return optimizer, scheduler


def _check_length(wanted: int, limit: int | None) -> None:
    if limit is not None and wanted > limit:
        raise InputError(
            f"Expected data.max_length to be at most {limit}, the most tokens the model has positions for, but got "
            f"{wanted}. Set data.max_length={limit}"
        )


def build_data(config: dict[str, Any], tokenizer: Any, *, packed: bool) -> DataModule:
    """Returns the data set of a configuration, prepared on all processes.

    Raises:
        InputError: If it cannot be had or is faulty, on all processes.
    """
    node = {**config["data"], "packed": packed and config["data"]["packed"]}
    seeds = config["seeds"]
    data = instantiate(
        node,
        "data",
        tokenizer=tokenizer,
        seed_order=seeds["order"],
        seed_subset=seeds["subset"],
        seed_noise=seeds["noise"],
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


def _build_records(
    config: dict[str, Any],
    folder: RunFolder,
    data: DataModule,
    observers: dict[str, Observer],
    *,
    commit: str | None,
    stopwatch: Stopwatch,
    memory: Memory,
) -> Records:
    """Returns what every run notes, and gives all that tell of events a way to."""
    events = Events(folder.events)
    told = [kind for observer in observers.values() for kind in observer.kinds]
    abort = Abort(config["abort_on"], [*told, *Divergence.kinds, *SkippedSteps.kinds])

    def report(*, kind: str, decisive: bool = True, **event: Any) -> None:
        if decisive:
            abort.hear(kind)
        if distributed.rank() == 0:
            events.add(kind=kind, **event)

    for observer in observers.values():
        observer.report = report
    return Records(
        MetricsCsv(folder.metrics),
        events,
        stopwatch,
        memory,
        Divergence(report),
        SkippedSteps(report),
        abort,
        Predictions(folder.predictions, regression=data.regression, parts=data.report_names),
        Profile({name: observer.seconds for name, observer in observers.items()}),
        SelectedWeights(folder.selected, monitor=f"select/{data.monitor}", mode=data.mode),
        ResumePoint(folder.last, every=config["checkpoint_every"], data=data.fingerprint, events=events, commit=commit),
    )


def _build_trainer(
    config: dict[str, Any], folder: RunFolder, *, loggers: list[Logger], callbacks: list[pl.Callback]
) -> pl.Trainer:
    shows_progress = any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks)
    node = {**config["trainer"], "devices": distributed.world_size(), "_partial_": True}
    return instantiate(
        node,
        "trainer",
        default_root_dir=folder.path,
        logger=loggers,
        callbacks=callbacks,
        enable_progress_bar=shows_progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the data module splits each global batch by itself
    )
