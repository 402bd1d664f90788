"""Alarms of every run: losses and embeddings that are not finite, and optimizer steps that were skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from typing_extensions import override

from clsnorm import distributed
from clsnorm.lightning_internals import StepWatch, ends_step, is_logged, step_number


class Divergence(Callback):
    """Stops training when a loss is not finite, and stores the step in the results.

    A value of [CLS] that is not finite, before (``h``) or after (``z``) the normalizer, is an event as well, even if
    the loss is finite. Its value is the number of such values on its process, in the first such step since the last
    logged one. The counts stay on the device and are read when the trainer logs, and at the end: no other step waits
    for the host.

    Args:
        report: A `clsnorm.records.EventReport`; called with the same event on all processes.

    Attributes:
        step: Number of the first optimizer step whose loss was not finite, or -1.
    """

    kinds: ClassVar[tuple[str, ...]] = ("non_finite",)
    _PLACES: ClassVar[dict[str, str]] = {"h": "h", "z": "z", "loss": "train/loss"}

    def __init__(self, report: Callable[..., None]) -> None:
        self.step = -1
        self._report = report
        self._counts: dict[int, torch.Tensor] = {}  # by step, one of each place

    @override
    def state_dict(self) -> dict[str, Any]:
        counts = {step: counts.cpu() for step, counts in self._counts.items()}
        return {"step": self.step, "counts": distributed.gather_objects(counts)}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.step = state_dict["step"]
        parts = state_dict["counts"]
        self._counts = {step: torch.zeros_like(counts) for step, counts in parts[0].items()}  # on all ranks
        for part in distributed.own_parts(parts):
            for step, counts in part.items():
                self._counts[step] += counts

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._counts = {step: counts.to(trainer.strategy.root_device) for step, counts in self._counts.items()}
        if self.step >= 0:  # interrupted between its last step and its end: it must not resume training
            trainer.should_stop = True

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        bad = torch.stack([_count_not_finite(outputs[name].detach()) for name in self._PLACES])
        step = step_number(trainer)
        self._counts[step] = self._counts[step] + bad if step in self._counts else bad
        if ends_step(trainer) and (is_logged(trainer) or trainer.is_last_batch):
            self._read(trainer)

    @override
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._counts:  # here, since a run resumed after its last step has no `on_train_end`
            self._read(trainer)

    def _read(self, trainer: pl.Trainer) -> None:
        own = torch.stack([counts.double() for counts in self._counts.values()])
        by_rank = own.new_zeros(distributed.world_size(), *own.shape)
        by_rank[distributed.rank()] = own
        steps, self._counts = list(self._counts), {}
        for rank, counts in enumerate(distributed.all_reduce_sum(by_rank).tolist()):
            for place, column in zip(self._PLACES.values(), zip(*counts, strict=True), strict=True):
                if any(column):
                    step, value = next((s, int(count)) for s, count in zip(steps, column, strict=True) if count)
                    self._report(step=step, kind="non_finite", place=place, value=value, rank=rank)
                    self._stop(trainer, place, step)

    def _stop(self, trainer: pl.Trainer, place: str, step: int) -> None:
        if place == self._PLACES["loss"] and self.step < 0:
            self.step = step
            trainer.should_stop = True


def _count_not_finite(x: torch.Tensor) -> torch.Tensor:
    """Returns how many values are not finite, ``()``: their difference from themselves is NaN, that of others is 0."""
    return torch.count_nonzero(x - x)


class SkippedSteps(Callback):
    """Reports optimizer steps that AMP's gradient scaler skipped because a gradient overflowed.

    An event's value is the loss scale after the step; it is read from the device only then.

    Args:
        report: As in `Divergence`.
    """

    kinds: ClassVar[tuple[str, ...]] = ("skipped_step",)

    def __init__(self, report: Callable[..., None]) -> None:
        self._report = report

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._steps = StepWatch(trainer.optimizers[0])

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if ends_step(trainer) and not self._steps.take():
            scale = float(trainer.precision_plugin.scaler.get_scale())  # type: ignore[attr-defined]
            self._report(step=step_number(trainer), kind="skipped_step", place="loss_scale", value=scale)

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._steps.remove()
