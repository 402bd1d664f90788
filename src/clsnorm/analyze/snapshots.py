"""The accumulators of a finished pass on disk: one ``.npz`` file for each place, as `clsnorm.statistics.load` reads."""

from __future__ import annotations

import shutil
from pathlib import Path

from clsnorm.statistics import Snapshot, load, save

Snapshots = dict[str, Snapshot]

AFTER_LAYERS = ("pooler_pre", "pooler", "z")  # in the order of the forward pass


def write_snapshots(folder: Path, snapshots: Snapshots) -> None:
    """Writes ``{place}.npz`` for each place; ``folder`` appears once all of them are complete."""
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    for place, snapshot in snapshots.items():
        save(path=draft / f"{place}.npz", snapshot=snapshot)
    draft.rename(folder)


def read_snapshots(folder: Path) -> Snapshots:
    """Returns the snapshots that `write_snapshots` wrote, in the order of the forward pass."""
    return {place: load(folder / f"{place}.npz") for place in sorted((p.stem for p in folder.iterdir()), key=_position)}


def _position(place: str) -> tuple[int, str]:
    return (AFTER_LAYERS.index(place), "") if place in AFTER_LAYERS else (-1, place)
