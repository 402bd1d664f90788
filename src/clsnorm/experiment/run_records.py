"""What every run records of itself, whichever observers it has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl

from clsnorm.callbacks import Observer
from clsnorm.data import DataModule
from clsnorm.experiment.recalibration import Recalibration
from clsnorm.loggers import MetricsCsv
from clsnorm.records import (
    Abort,
    Divergence,
    EventReport,
    HeapTrim,
    PeakMemory,
    Predictions,
    Profile,
    ResumePoint,
    SelectedWeights,
    SkippedSteps,
    Stopwatch,
    ValidatedWeights,
)
from clsnorm.run_folder import RunFolder, provenance
from clsnorm.run_folder.events import Events


@dataclass(frozen=True)
class Start:
    """What is measured from a run's first moment. The commit, too: by the end the files may have changed."""

    stopwatch: Stopwatch = field(default_factory=lambda: Stopwatch(time.perf_counter()))
    memory: PeakMemory = field(default_factory=PeakMemory)
    commit: str | None = field(default_factory=lambda: provenance.commit())


@dataclass
class RunRecords:
    """The writers of a run's files, and the callbacks of every run.

    Attributes:
        callbacks: In the order in which Lightning calls them; the resume point stores the state of all others.
    """

    metrics_csv: MetricsCsv
    events: Events
    stopwatch: Stopwatch
    memory: PeakMemory
    divergence: Divergence
    abort: Abort
    predictions: Predictions
    profile: Profile
    selected: SelectedWeights
    resume_point: ResumePoint
    callbacks: list[pl.Callback]


def build_records(
    config: dict[str, Any], folder: RunFolder, data: DataModule, observers: Mapping[str, Observer], start: Start
) -> RunRecords:
    """Returns a run's records, and lets the observers report events.

    Raises:
        InputError: If ``abort_on`` names an event that no callback reports.
    """
    metrics, events, stopwatch = MetricsCsv(folder.metrics), Events(folder.events), start.stopwatch
    abort = Abort(config["abort_on"], _known_kinds(observers))
    report = EventReport(events, abort)
    for observer in observers.values():
        observer.report = report
    divergence, skipped = Divergence(report), SkippedSteps(report)
    predictions = Predictions(
        folder.predictions, regression=data.regression, parts=data.report_names, classes=data.labels
    )
    profile = Profile({name: observer.seconds for name, observer in observers.items()})
    recalibration = Recalibration(data, report, stopwatch)
    selected = SelectedWeights(folder.selected, monitor=f"select/{data.monitor}", mode=data.mode)
    others = [ValidatedWeights(folder)] if config.get("keep_weights") == "all" else []
    resume_point = ResumePoint(
        folder.last,
        every=config["checkpoint_every"],
        data=data.fingerprint,
        events=events,
        metrics=metrics.digest,
        commit=start.commit,
        config_hash=config["config_hash"],
    )
    first = [stopwatch, HeapTrim(), divergence, skipped, abort, predictions, profile]
    return RunRecords(
        metrics,
        events,
        stopwatch,
        start.memory,
        divergence,
        abort,
        predictions,
        profile,
        selected,
        resume_point,
        callbacks=[*first, recalibration, selected, *others, resume_point],
    )


def _known_kinds(observers: Mapping[str, Observer]) -> list[str]:
    kinds = [kind for observer in observers.values() for kind in observer.kinds]
    return [*kinds, *Divergence.kinds, *SkippedSteps.kinds]
