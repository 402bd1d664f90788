"""What a search has tried and chosen, in files that need no Optuna: one for each combination, in the sweep's folder."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from clsnorm.command.sweep import SEARCHES
from clsnorm.errors import DamagedFileError
from clsnorm.files import write_sealed
from clsnorm.seals import read_json


def write_search(folder: Path, study: str, record: dict[str, Any]) -> None:
    """Writes the record of one study of the sweep in ``folder``.

    Args:
        folder: Of the sweep.
        study: Its name.
        record: ``words`` (of the combination), ``label`` (what tells it from others), ``space`` (by key), ``seeds``
            (the runs of a trial), ``budget`` (trials), ``mode``, ``trials`` (values, state, score, runs), ``chosen``
            (values, or None as long as a trial is missing) and ``final`` (runs at these values).
    """
    path = folder / SEARCHES / f"{hashlib.sha256(study.encode()).hexdigest()[:16]}.json"
    if not path.exists() or read_json(path) != record:
        write_sealed(path, record)


def read_searches(folder: Path) -> list[dict[str, Any]]:
    """Returns the record of each combination that was searched in a sweep, by its words; damaged ones are skipped."""
    found = []
    for path in (folder / SEARCHES).glob("[!.]*.json"):
        with contextlib.suppress(DamagedFileError, OSError):
            found.append(read_json(path))
    return sorted(found, key=lambda record: list(map(str, record.get("words", []))))
