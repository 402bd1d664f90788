"""The accumulators of a finished pass on disk: one ``.npz`` file for each place, as `clsnorm.statistics.load` reads."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from clsnorm.errors import InputError
from clsnorm.files import delete, require_held, write_sealed, writing
from clsnorm.seals import read_json
from clsnorm.statistics import Snapshot, load, save

log = logging.getLogger(__name__)
Snapshots = dict[str, Snapshot]

AFTER_LAYERS = ("pooler_pre", "pooler", "z")  # in the order of the forward pass
PLACES = "places.json"  # lists the files; earlier versions did not write it


def write_snapshots(folder: Path, snapshots: Snapshots) -> None:
    """Writes ``{place}.npz`` for each place; ``folder`` appears once all of them are complete."""
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    for place, snapshot in snapshots.items():
        save(path=draft / f"{place}.npz", snapshot=snapshot)
    write_sealed(draft / PLACES, {"places": list(snapshots)})
    require_held(folder)
    with writing(folder):
        draft.rename(folder)


def read_snapshots(folder: Path) -> Snapshots:
    """Returns the snapshots that `write_snapshots` wrote, in the order of the forward pass.

    Raises:
        InputError: If a file is damaged or missing.
    """
    listed = read_json(folder / PLACES)["places"] if (folder / PLACES).exists() else []
    places = {path.stem for path in folder.glob("*.npz")} | set(listed)
    return {place: load(folder / f"{place}.npz") for place in sorted(places, key=_position)}


def read_or_remove(folder: Path) -> Snapshots | None:
    """Returns the snapshots in ``folder``; None if there are none. Damaged ones are removed, to be collected again."""
    if not folder.exists():
        return None
    try:
        return read_snapshots(folder)
    except InputError as error:
        log.warning("%s: collecting the snapshots again", error)
        delete(folder)
        return None


def _position(place: str) -> tuple[int, str]:
    return (AFTER_LAYERS.index(place), "") if place in AFTER_LAYERS else (-1, place)
