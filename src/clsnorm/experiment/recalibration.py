"""Calibrating the normalizer again during training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from typing_extensions import override

from clsnorm.experiment.calibration import accumulate

if TYPE_CHECKING:
    from clsnorm.data import DataModule
    from clsnorm.records import Stopwatch


class Recalibration(pl.Callback):
    """Repeats the calibration before training every ``classifier.recalibrate_every`` epochs.

    The logits jump by what the statistics have moved; the head is left as it is. An event's step is the next optimizer
    step, its value the seconds that the calibration took.

    Args:
        data: Prepared data.
        report: A `clsnorm.records.EventReport`.
        stopwatch: Counts the seconds.
    """

    def __init__(self, data: DataModule, report: Callable[..., None], stopwatch: Stopwatch) -> None:
        self._data, self._report, self._stopwatch = data, report, stopwatch
        self._last_epoch = 0

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier: Any = pl_module.classifier
        accumulator_type, every = classifier.normalizer.calibration, classifier.recalibrate_every
        epoch = trainer.current_epoch
        # An epoch that is resumed in its middle was recalibrated at its start.
        if accumulator_type is None or every is None or epoch <= self._last_epoch or epoch % every:
            return
        started = time.perf_counter()
        accumulator = accumulator_type(classifier.encoder.dim)
        accumulate(accumulator, classifier, self._data, pl_module.device)
        classifier.normalizer.calibrate(accumulator)
        self._last_epoch = epoch
        seconds = time.perf_counter() - started
        self._stopwatch.calibration_seconds += seconds
        self._report(step=trainer.global_step, kind="recalibrated", value=round(seconds, 3), decisive=False)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self._last_epoch}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._last_epoch = state_dict["last_epoch"]
