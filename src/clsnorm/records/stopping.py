"""Ending training at an event, ``abort_on``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from typing_extensions import override

from clsnorm.errors import require_choice


class Abort(Callback):
    """Ends training after the first decisive event of some kinds, unless training has ended anyway.

    Must come after `Divergence` and all callbacks that report events: the first of several reasons in one step counts.

    Args:
        kinds: Those kinds, ``abort_on``.
        known: All kinds that this run's callbacks report.

    Attributes:
        by: The kind that ended training, or None. An event that was reported when training had been stopped
            already, or after the last step, has not ended it.

    Raises:
        InputError: If one of ``kinds`` is unknown.
    """

    def __init__(self, kinds: Collection[str], known: Collection[str]) -> None:
        for kind in kinds:
            require_choice("abort_on", kind, known, advice="Events are reported by the run's callbacks")
        self.by: str | None = None
        self._pending: str | None = None
        self._kinds = frozenset(kinds)

    def notice(self, kind: str) -> None:
        """Takes a decisive event, on all processes."""
        if self._pending is None and kind in self._kinds:
            self._pending = kind

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"by": self.by, "heard": self._pending}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.by = state_dict["by"]
        self._pending = state_dict.get("heard", self.by)  # files of older versions have none

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop(trainer)  # interrupted between its last step and its end: it must not resume training

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._stop(trainer)

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop(trainer)

    def _stop(self, trainer: pl.Trainer) -> None:
        if self._pending is None or trainer.should_stop:
            return
        if trainer.global_step < trainer.estimated_stepping_batches:
            self.by, trainer.should_stop = self._pending, True
