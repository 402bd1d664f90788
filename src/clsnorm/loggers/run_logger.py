"""What loggers share: the ids under which they know a run, and the values of a run's summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from clsnorm.errors import InputError
from clsnorm.files import write_json

IDS = "logger_ids.json"  # in the run's folder: under which id each logger knows it
SUMMARY = ("status", "collapsed", "majority", "selected_step", "examples_per_second")  # beside the metrics


def known_id(folder: Path, logger: str) -> str | None:
    """Returns the id under which ``logger`` knows the run in ``folder``, or None."""
    return _known_ids(folder).get(logger)


def kept_id(folder: Path, logger: str, make: Callable[[], str]) -> str:
    """Returns that id, made and kept if there is none: a resumed run goes on under it, a new one gets its own."""
    ids = _known_ids(folder)
    if logger not in ids:
        ids[logger] = make()
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            write_json(folder / IDS, ids)
    return ids[logger]


def _known_ids(folder: Path) -> dict[str, str]:
    path = folder / IDS
    return json.loads(path.read_text()) if path.exists() else {}


def require_package(package: str) -> None:
    """Raises InputError unless the package of a logger is installed."""
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise InputError(
            f"logger={package} needs the package {package}, which is not installed: pip install 'clsnorm[{package}]'"
        )
