"""Under which id each logger knows a run: ``logger_ids.json`` in the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from clsnorm.files import write_sealed
from clsnorm.seals import read_json

IDS = "logger_ids.json"


def stored_id(folder: Path, logger: str) -> str | None:
    """Returns the id under which ``logger`` knows the run in ``folder``, or None."""
    return _stored(folder).get(logger)


def store_id(folder: Path, logger: str, create: Callable[[], str]) -> str:
    """Returns that id, created and stored if there is none: a resumed run keeps its id, a new one gets another."""
    known = stored_id(folder, logger)
    if known is None:
        known = create()
        change_id(folder, logger, known)
    return known


@rank_zero_only
def change_id(folder: Path, logger: str, value: str) -> None:
    """Stores another id."""
    write_sealed(folder / IDS, _stored(folder) | {logger: value})


def _stored(folder: Path) -> dict[str, str]:
    path = folder / IDS
    advice = "Delete it: a resumed run is then logged under another id"
    return read_json(path, advice) if path.exists() else {}
