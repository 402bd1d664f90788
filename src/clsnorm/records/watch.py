"""What every run measures of itself: time, memory and whether it diverged."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from typing_extensions import override

from clsnorm import distributed


class Stopwatch(Callback):
    """Times the training steps alone: no validation, no loading of data before the first step, no checkpoint.

    Args:
        created: `time.perf_counter` when the run began.

    Attributes:
        examples: Examples trained on, over all ranks.
        seconds: Wall time inside training steps.
    """

    def __init__(self, created: float) -> None:
        self.examples = 0
        self.seconds = 0.0
        self._created = created
        self._before = 0.0  # seconds of the run's life before it was interrupted
        self._started = 0.0

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"examples": self.examples, "seconds": self.seconds, "elapsed": self.elapsed}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.examples, self.seconds = state_dict["examples"], state_dict["seconds"]
        self._before = state_dict["elapsed"]

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

    @property
    def elapsed(self) -> float:
        """Seconds of the whole run so far, setting up and calibrating included."""
        return self._before + time.perf_counter() - self._created

    @property
    def examples_per_second(self) -> float:
        return self.examples / self.seconds if self.seconds else float("nan")


class Divergence(Callback):
    """Stops training when a loss is not finite, and keeps that as a fact of the run.

    The flag stays on the device and is read when the trainer logs, so that no step waits for the host.

    Attributes:
        step: First optimizer step at which it was seen, or -1.
    """

    def __init__(self) -> None:
        self.step = -1
        self._bad: torch.Tensor | None = None

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.step = state_dict["step"]

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        bad = ~torch.isfinite(outputs["loss"].detach())
        self._bad = bad if self._bad is None else self._bad | bad
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if trainer.global_step % every == 0 or trainer.is_last_batch:
            self._read(trainer)

    def _read(self, trainer: pl.Trainer) -> None:
        if self._bad is not None and distributed.all_reduce_sum(self._bad.float()).item() > 0 and self.step < 0:
            self.step = trainer.global_step
            trainer.should_stop = True
        self._bad = None


def peak_memory_mb() -> float:
    """Returns the largest memory of this process so far in MB: of the GPU where one is used, else of the CPU."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    per_mb = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mb
