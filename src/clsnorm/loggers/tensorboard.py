"""TensorBoard event files, in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from clsnorm.loggers.run_logger import Logged, RunLogger, require_package


class TensorBoardRun(RunLogger, TensorBoardLogger):
    """TensorBoard event files in the run's folder.

    Args:
        folder: The run's folder; the files are in its ``tensorboard``.
        config: Not used: it is in ``config.yaml``.
    """

    def __init__(self, *, folder: Path, config: dict[str, Any]) -> None:
        require_package("tensorboard")
        TensorBoardLogger.__init__(self, save_dir=folder, name="tensorboard", version="", default_hp_metric=False)

    @override
    def save(self) -> None:
        """Flushes the events; writes no second copy of the configuration."""
        self.experiment.flush()

    @override
    @rank_zero_only
    def restart(self, logged: Logged) -> None:
        for path in Path(self.log_dir).glob("events.out.tfevents.*"):
            path.unlink()
        for step, numbers in logged.items():
            self.log_metrics(numbers, step)
        if logged:
            self.save()

    def close(self, results: Mapping[str, Any] | None) -> None:
        """Closes the event file."""
        self.experiment.close()
