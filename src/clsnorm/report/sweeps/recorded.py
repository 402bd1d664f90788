"""What runs recorded of [CLS] and of gradients, beyond their scores."""

from __future__ import annotations

import logging
import math
import zipfile

import numpy as np

from clsnorm.errors import DamagedFileError
from clsnorm.report.sweeps.run_row import RunRow
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.series import read_columns

log = logging.getLogger(__name__)
START = "cls/start/h/"
GRADIENTS = "grad/run/h/max"  # every run with `GradientNorms` has it
EXPLOSIONS = ("explosion", "non_finite")  # kinds of events
LEAST_STEPS = 64  # with fewer, `clsnorm.gradients` has no fitted growth, and with half as many no level to compare with


def start_number(row: RunRow, name: str) -> float:
    """Returns a statistic of [CLS] before training, such as ``centred_share``; NaN if the run did not record it."""
    path = RunFolder(row.path).metrics
    try:
        if not path.exists() or f"{START}{name}" not in read_columns(path):
            return math.nan
        return RunFolder(row.path).read_series()[f"{START}{name}"][0][1]
    except (DamagedFileError, KeyError):
        return math.nan


def start_size(row: RunRow) -> tuple[int, int] | None:
    """Returns rows and dimensions of the embeddings measured before training; None if the run did not store them."""
    path = row.path / "statistics" / "start_h.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return int(stored["moments/count"]), int(stored["dim"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def exploded(row: RunRow) -> bool | None:
    """Returns whether a gradient exploded or was not finite, or the run diverged.

    None if it cannot be known: gradients were not recorded for each example, or nothing happened in fewer than
    `LEAST_STEPS` steps, in which the detectors see next to nothing.
    """
    if row.results["status"] == "diverged":
        return True
    if row.results["metrics"].get(GRADIENTS, math.nan) is not None and math.isnan(row.metric(GRADIENTS)):
        return None
    try:
        events = RunFolder(row.path).read_events()
    except DamagedFileError as error:
        log.warning("the events of %s are left out: %s", row.path, error)
        return None
    if any(event["kind"] in EXPLOSIONS for event in events):
        return True
    return False if (row.results.get("steps") or 0) >= LEAST_STEPS else None
