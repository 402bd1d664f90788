"""TensorBoard event files, in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from typing_extensions import override

from clsnorm.loggers.run_logger import RunLogger, require_package


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

    def close(self, results: Mapping[str, Any] | None) -> None:
        """Closes the event file."""
        self.experiment.close()
