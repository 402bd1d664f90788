"""The progress of a run: a bar with loss and score on a terminal; elsewhere a line now and then."""

from __future__ import annotations

import sys
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar
from typing_extensions import override

from clsnorm.command.sweep import is_quiet
from clsnorm.progress import ProgressLog


class Progress(TQDMProgressBar):
    """Lightning's bar without the logger's version number, so that loss and score fit on a narrow terminal.

    Off a terminal there is no bar, but a line in the log every half minute: step, time left, loss, last score. In a
    sweep that shows its own progress there is neither.

    Args:
        refresh_rate: Batches between two refreshes of the bar.
    """

    def __init__(self, *, refresh_rate: int) -> None:
        self._logs = not is_quiet() and not sys.stdout.isatty()
        super().__init__(refresh_rate=0 if is_quiet() or self._logs else refresh_rate)
        self._log: ProgressLog | None = None

    @override
    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        items = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in items.items() if name != "v_num"}

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self._logs and trainer.is_global_zero:
            steps = trainer.estimated_stepping_batches
            self._log = ProgressLog("Training", steps if steps != float("inf") else None, done=trainer.global_step)

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._log is not None:
            self._log.update(trainer.global_step, lambda: _facts(self.get_metrics(trainer, pl_module)))

    @override
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Closes the bars, so that an error starts on a new line."""
        for bar in (self._train_progress_bar, self._val_progress_bar, self._test_progress_bar):
            if bar is not None:
                bar.close()


def _facts(items: dict[str, Any]) -> str:
    """Returns loss and scores, as far as they have been logged."""
    return ", ".join(f"{name} {value:.3f}" for name, value in items.items() if isinstance(value, float))
