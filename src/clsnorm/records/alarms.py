"""Callbacks that every run has because they can end it: what is told as an event, and which events end training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from typing_extensions import override

from clsnorm import distributed
from clsnorm.errors import InputError, did_you_mean

Tell = Callable[..., None]


class Divergence(Callback):
    """Stops training when a loss is not finite, and keeps that as a fact of the run.

    A value of [CLS] that is not finite, before (``h``) or after (``z``) the normalizer, is an event as well, also where
    the loss hides it. The flags stay on the device and are read when the trainer logs: no step waits for the host.

    Args:
        tell: Takes ``step``, ``kind``, ``place`` and ``rank`` of an event; called alike on all processes.

    Attributes:
        step: First optimizer step at which the loss was seen not to be finite, or -1.
    """

    kinds: ClassVar[tuple[str, ...]] = ("non_finite",)
    _PLACES: ClassVar[dict[str, str]] = {"h": "h", "z": "z", "loss": "train/loss"}

    def __init__(self, tell: Tell) -> None:
        self.step = -1
        self._tell = tell
        self._bad: torch.Tensor | None = None

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.step = state_dict["step"]

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.step >= 0:  # interrupted between its last step and its end: it must not train on
            trainer.should_stop = True

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        bad = torch.stack([~torch.isfinite(outputs[name].detach()).all() for name in self._PLACES])
        self._bad = bad if self._bad is None else self._bad | bad
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if trainer.global_step % every == 0 or trainer.is_last_batch:
            self._read(trainer)

    def _read(self, trainer: pl.Trainer) -> None:
        assert self._bad is not None
        by_rank = torch.zeros(distributed.world_size(), len(self._PLACES), device=self._bad.device)
        by_rank[distributed.rank()] = self._bad.float()
        self._bad = None
        for rank, found in enumerate(distributed.all_reduce_sum(by_rank).tolist()):
            for place, bad in zip(self._PLACES.values(), found, strict=True):
                if bad:
                    self._tell(step=trainer.global_step, kind="non_finite", place=place, rank=rank)
                    self._stop(trainer, place)

    def _stop(self, trainer: pl.Trainer, place: str) -> None:
        if place == self._PLACES["loss"] and self.step < 0:
            self.step = trainer.global_step
            trainer.should_stop = True


class SkippedSteps(Callback):
    """Tells of optimizer steps that AMP's gradient scaler skipped because a gradient overflowed.

    A scale that has shrunk since the last logged step says so; it is read then alone.

    Args:
        tell: As in `Divergence`.
    """

    kinds: ClassVar[tuple[str, ...]] = ("skipped_step",)

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._scale: float | None = None

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"scale": self._scale}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._scale = state_dict["scale"]

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self._scale = float(scaler.get_scale()) if scaler is not None and self._scale is None else self._scale

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self._scale is None or not (trainer.global_step % every == 0 or trainer.is_last_batch):
            return
        scale = float(trainer.precision_plugin.scaler.get_scale())  # type: ignore[attr-defined]
        if scale < self._scale:
            self._tell(step=trainer.global_step, kind="skipped_step", place="loss_scale", value=scale)
        self._scale = scale


class Abort(Callback):
    """Ends training after the first event of some kinds.

    Args:
        kinds: Those kinds.
        known: All kinds that this run's callbacks tell of.

    Attributes:
        by: The kind that ended training, or None.

    Raises:
        InputError: If one of ``kinds`` is not known.
    """

    def __init__(self, kinds: Sequence[str], known: Sequence[str]) -> None:
        for kind in kinds:
            if kind not in known:
                raise InputError(
                    f"Expected argument `abort_on` to name events that this run's callbacks tell of, "
                    f"{', '.join(known)}, but got {kind!r}.{did_you_mean(kind, known)}"
                )
        self.by: str | None = None
        self._kinds = frozenset(kinds)

    def hear(self, kind: str) -> None:
        """Is told of an event, on all processes."""
        if self.by is None and kind in self._kinds:
            self.by = kind

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"by": self.by}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.by = state_dict["by"]

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.by is not None

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        trainer.should_stop = trainer.should_stop or self.by is not None

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.by is not None
