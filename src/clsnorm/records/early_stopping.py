"""Ending training when a score no longer improves, ``callbacks=early_stopping``."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from typing_extensions import override

from clsnorm import distributed
from clsnorm.errors import refuse, require_choice, require_nonnegative, require_whole

log = logging.getLogger(__name__)
LOSS = "select/loss"


class EarlyStopping(Callback):
    """Ends training after ``patience`` validations in a row without a better score on the select split.

    A score is better if it exceeds the best one so far by more than ``min_delta``; one that is not finite never is. An
    interrupted run ends where an uninterrupted one does. Unlike an observer, this changes the result, so it is part of
    the run's name. The selected weights are still those of the best validation.

    Args:
        monitor: Name of the score, ``select/loss`` or ``select/<metric>``; None: that of ``data.monitor``.
        mode: Whether the best score is the largest (``max``) or the smallest (``min``); None: known of the loss and
            of ``data.monitor``.
        patience: Validations without a better score that end training.
        min_delta: Smallest improvement that counts.

    Attributes:
        stopped: Whether it has ended training.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(
        self, *, monitor: str | None = None, mode: str | None = None, patience: int = 3, min_delta: float = 0.0
    ) -> None:
        require_whole("callbacks.early_stopping.patience", patience, least=1, advice="It counts validations")
        if mode is not None:
            require_choice("callbacks.early_stopping.mode", mode, ("max", "min"))
        require_nonnegative("callbacks.early_stopping.min_delta", min_delta)
        self.monitor, self._mode, self._patience, self._min_delta = monitor, mode, patience, min_delta
        self._best = -math.inf  # times the sign of the mode
        self._waited = 0
        self.stopped = False

    def choose(self, scores: Collection[str], *, monitor: str, mode: str) -> None:
        """Fills in what the arguments leave open, before training.

        Args:
            scores: Names of all scores of the select split.
            monitor: The one that chooses the checkpoint.
            mode: Its mode.

        Raises:
            InputError: If there is no such score, or its mode is unknown.
        """
        self.monitor = monitor if self.monitor is None else self.monitor
        require_choice("callbacks.early_stopping.monitor", self.monitor, scores)
        known = {LOSS: "min", monitor: mode}
        if self._mode is None and self.monitor not in known:
            refuse(
                "callbacks.early_stopping.mode",
                f"max or min for {self.monitor}",
                None,
                "Say which score is the best, the largest or the smallest",
            )
        self._mode = self._mode or known[self.monitor]

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best, "waited": self._waited, "stopped": self.stopped}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best, self._waited, self.stopped = (state_dict[name] for name in ("best", "waited", "stopped"))

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.stopped:  # interrupted between its last step and its end: it must not resume training
            trainer.should_stop = True

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.should_stop:
            return
        score = float(trainer.callback_metrics[str(self.monitor)]) * (1 if self._mode == "max" else -1)
        if math.isfinite(score) and score > self._best + self._min_delta:
            self._best, self._waited = score, 0
            return
        self._waited += 1
        if self._waited >= self._patience and trainer.global_step < trainer.estimated_stepping_batches:
            self.stopped = trainer.should_stop = True
            if distributed.rank() == 0:
                log.info("stopped early: %s was not better in %d validations", self.monitor, self._waited)
