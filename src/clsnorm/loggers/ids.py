"""Under which id each logger knows a run: ``logger_ids.json`` in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from clsnorm.files import write_json

IDS = "logger_ids.json"


def stored_id(folder: Path, logger: str) -> str | None:
    """Returns the id under which ``logger`` knows the run in ``folder``, or None."""
    return _stored(folder).get(logger)


def store_id(folder: Path, logger: str, create: Callable[[], str]) -> str:
    """Returns that id, created and stored if there is none: a resumed run keeps its id, a new one gets another."""
    ids = _stored(folder)
    if logger not in ids:
        ids[logger] = create()
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            write_json(folder / IDS, ids)
    return ids[logger]


def _stored(folder: Path) -> dict[str, str]:
    path = folder / IDS
    return json.loads(path.read_text()) if path.exists() else {}
