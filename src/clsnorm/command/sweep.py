"""What became of the jobs of a sweep: each failure is told beside its job's name, and none hides another."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from clsnorm.errors import InputError
from clsnorm.files import note_standing, remove

log = logging.getLogger(__name__)
REFUSALS = (InputError, HydraException, OmegaConfBaseException)  # of a user's mistake, whoever tells it
RECORD = "multirun.yaml"  # Hydra writes it before the first job
failures: list[Exception] = []  # of this process's sweep; Hydra itself hands on the first one alone
folders: list[Path] = []  # of this process's sweeps


class OutputFolders(Callback):
    """Notes what is there, and where a sweep is to lie, before Hydra makes folders.

    Called by Hydra; what cannot be resolved here is told by the run or the sweep itself.
    """

    def on_run_start(self, config: DictConfig, **named: Any) -> None:
        with contextlib.suppress(OmegaConfBaseException):
            note_standing(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **named: Any) -> None:
        with contextlib.suppress(OmegaConfBaseException):
            note_standing(Path(config.hydra.sweep.dir))
            folders.append(Path(config.hydra.sweep.dir))


def discard_empty() -> None:
    """Removes the folder of a sweep none of whose jobs has left anything."""
    for folder in folders:
        if folder.is_dir() and [path.name for path in folder.iterdir()] == [RECORD]:
            remove(folder)


@contextlib.contextmanager
def failure_told(job: str) -> Iterator[None]:
    """In a sweep, logs the failure of ``job`` in one line and notes it; Hydra goes on with the next job.

    A single run's failure is told once, by the command.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    try:
        yield
    except Exception as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            failures.append(error)
            kind = "refused" if isinstance(error, REFUSALS) else f"crashed: {type(error).__name__}"
            log.error("%s: %s: %s", job, kind, " ".join(str(error).split())[:400])
        raise
