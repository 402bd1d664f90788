"""The progress bar of a run: epoch, current loss, last score, speed."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar
from typing_extensions import override

from clsnorm.command.sweep import is_quiet


class Progress(TQDMProgressBar):
    """Lightning's bar without the logger's version number, so that loss and score fit on a narrow terminal.

    Args:
        refresh_rate: Batches between two refreshes. There is no bar in a sweep that shows its own progress.
    """

    def __init__(self, *, refresh_rate: int) -> None:
        super().__init__(refresh_rate=0 if is_quiet() else refresh_rate)

    @override
    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        items = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in items.items() if name != "v_num"}

    @override
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Closes the bars, so that an error starts on a new line."""
        for bar in (self._train_progress_bar, self._val_progress_bar, self._test_progress_bar):
            if bar is not None:
                bar.close()
