"""The time of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from typing_extensions import override


class Stopwatch(Callback):
    """Times the training steps only: no validation, no loading of data before the first step, no checkpoint.

    A GPU works asynchronously: the host waits for it once an epoch and before a validation, and the wait counts as time
    of the steps.

    Args:
        created: `time.perf_counter` when the run began.

    Attributes:
        examples: Examples trained on, over all ranks.
        seconds: Wall time inside training steps.
        calibration_seconds: Cost of calibrations; a cached one counts in full.
        encoding_seconds: Cost of encoding each text once with a frozen encoder; a cached one counts in full.
    """

    def __init__(self, created: float) -> None:
        self.examples = 0
        self.seconds = 0.0
        self.calibration_seconds = 0.0
        self.encoding_seconds = 0.0
        self._created = created
        self._before = 0.0  # seconds of the run before it was interrupted
        self._started = 0.0

    @override
    def state_dict(self) -> dict[str, Any]:
        names = ("examples", "seconds", "elapsed", "calibration_seconds", "encoding_seconds")
        return {name: getattr(self, name) for name in names}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.examples, self.seconds = state_dict["examples"], state_dict["seconds"]
        self._before, self.calibration_seconds = state_dict["elapsed"], state_dict["calibration_seconds"]
        self.encoding_seconds = state_dict.get("encoding_seconds", 0.0)  # files of older versions have none

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._started = time.perf_counter()

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seconds += time.perf_counter() - self._started
        self.examples += batch.global_size

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._wait_for_device()

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._wait_for_device()

    def _wait_for_device(self) -> None:
        if torch.cuda.is_available():
            started = time.perf_counter()
            torch.cuda.synchronize()
            self.seconds += time.perf_counter() - started

    def calibrate(self, calibration: Callable[[], float]) -> None:
        """Runs a calibration, which returns its cost; time that the cache saved counts as if it had been spent."""
        self.calibration_seconds = self._charge(calibration)

    def encode(self, encoding: Callable[[], float]) -> None:
        """Runs the pass of a frozen encoder, which returns its cost; counted as in `calibrate`."""
        self.encoding_seconds = self._charge(encoding)

    def _charge(self, work: Callable[[], float]) -> float:
        started = time.perf_counter()
        cost = work()
        self._before += max(0.0, cost - (time.perf_counter() - started))
        return cost

    @property
    def elapsed(self) -> float:
        """Seconds of the whole run so far, including setup and calibration."""
        return self._before + time.perf_counter() - self._created

    @property
    def examples_per_second(self) -> float:
        return self.examples / self.seconds if self.seconds else float("nan")
