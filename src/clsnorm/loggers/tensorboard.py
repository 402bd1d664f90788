"""TensorBoard event files, in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from typing_extensions import override

from clsnorm.loggers.run_logger import require_package


class TensorBoardRun(TensorBoardLogger):
    """TensorBoard event files in the run's folder.

    Args:
        folder: The run's folder; the files land in its ``tensorboard``.
        config: Unused here: it stands in ``config.yaml``.
    """

    def __init__(self, *, folder: Path, config: dict[str, Any]) -> None:
        require_package("tensorboard")
        super().__init__(save_dir=folder, name="tensorboard", version="", default_hp_metric=False)

    @override
    def save(self) -> None:
        """Flushes the events; no second copy of the configuration is written."""
        self.experiment.flush()

    def close(self, results: Mapping[str, Any] | None) -> None:
        """Closes the event file."""
        self.experiment.close()
