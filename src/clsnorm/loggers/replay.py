"""Replays to the loggers of a resumed run all that was logged before its resume point, each step once."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pytorch_lightning.loggers import Logger

from clsnorm.loggers.ids import change_id, stored_id
from clsnorm.loggers.run_logger import Logged, RunLogger
from clsnorm.run_folder.events import read_events
from clsnorm.run_folder.series import read_rows

log = logging.getLogger(__name__)


def logged_before(metrics: Path, events: Path) -> Logged:
    """Returns what the two files of a run hold, by step: the numbers, and ``events/{kind}``, how many there were."""
    found: Logged = {}
    for row in read_rows(metrics):
        found.setdefault(int(row["step"]), {}).update(
            {name: float(cell) for name, cell in row.items() if cell and name != "step"}
        )
    counts: Counter[str] = Counter()
    for event in read_events(events):
        counts[event["kind"]] += 1
        found.setdefault(int(event["step"]), {})[f"events/{event['kind']}"] = float(counts[event["kind"]])
    return dict(sorted(found.items()))


def restart(loggers: Mapping[str, Logger], folder: Path, logged: Logged) -> None:
    """Sets the store of each logger to ``logged``, when a run starts or resumes; call it on rank 0.

    A `RunLogger` does this itself. Another logger, such as Lightning's ``CSVLogger`` or ``TensorBoardLogger``, writes
    into a new folder, and the one that the run gave it before is removed. If it has no folder, or one that existed
    before the run, it is left as it is: after an interruption some steps may be in it twice, or missing.

    Args:
        loggers: By name.
        folder: The run's folder.
        logged: The numbers so far, by step.
    """
    for name, logger in loggers.items():
        if isinstance(logger, RunLogger):
            logger.restart(logged)
        elif _is_emptied(name, logger, folder):
            for step, numbers in logged.items():
                logger.log_metrics(numbers, step)
            logger.save()
        elif logged:
            log.warning("logger.%s: steps near the interruption may be in its store twice, or missing", name)


def _is_emptied(name: str, logger: Logger, run: Path) -> bool:
    """Removes the folder that this run has given a logger before; returns whether the logger has a new one.

    A folder that exists before the run writes into it may hold other things, and is not the run's.
    """
    key = f"{name}.folder"
    if own := stored_id(run, key):
        shutil.rmtree(own, ignore_errors=True)
    place = getattr(logger, "log_dir", None)
    if place is None or Path(place).exists():
        return False
    change_id(run, key, str(Path(place).absolute()))
    return True
