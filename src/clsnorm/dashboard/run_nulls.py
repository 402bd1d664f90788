"""The numbers of a run next to their nulls, whose spread is computed from the stored accumulators."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsnorm.dashboard.null_text import null_text, verdict
from clsnorm.errors import InputError

if TYPE_CHECKING:  # imports torch
    from clsnorm.statistics import Snapshot

log = logging.getLogger(__name__)
REPORTED = re.compile(r"cls/(report\w*)/(\w+)/(.+)")
NOISE = "cls/noise/"
SIZED = ("start_h", "select_h")  # accumulators with as many rows and dimensions as the values for noise


def null_rows(folder: Path, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns each statistic of the report splits with its null, its interval and where the number lies.

    Training does not compute the intervals: ``statistics/{split}_{place}.npz`` suffice. Numbers whose accumulators are
    missing or damaged are left out.

    Args:
        folder: Of the run.
        metrics: Numbers of its results.
    """
    stored = cache(_stored)
    rows = []
    for name, value in sorted(metrics.items()):
        if (matched := REPORTED.fullmatch(name)) and (snapshot := stored(folder, f"{matched[1]}_{matched[2]}")):
            found = _evaluated(matched[3], snapshot)
            if found["null"] is not None:
                pair = found | {"value": value}
                rows.append({"name": name, "value": value, "verdict": verdict(pair), "null": null_text(pair)})
    return rows


def noise_intervals(folder: Path, names: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Returns the intervals of logged values for noise, by name (``cls/noise/...``); empty without accumulators."""
    noise = [name for name in names if name.startswith(NOISE)]
    snapshots = (_stored(folder, file) for file in (SIZED if noise else ()))
    snapshot = next(filter(None, snapshots), None)
    if snapshot is None:
        return {}
    found = {name: _evaluated(name.removeprefix(NOISE), snapshot) for name in noise}
    ends = {name: (values["null_low"], values["null_high"]) for name, values in found.items()}
    return {name: pair for name, pair in ends.items() if None not in pair}


def _evaluated(key: str, snapshot: Snapshot) -> dict[str, Any]:
    from clsnorm.statistics import find
    from clsnorm.statistics.catalogue import evaluate

    try:
        found = asdict(evaluate(find(key, argument="numbers"), snapshot, intervals=True))
    except InputError:  # of another version
        return {"null": None, "null_low": None, "null_high": None}
    return {"null": found["null"], "null_low": found["low"], "null_high": found["high"]}


def _stored(folder: Path, file: str) -> Snapshot | None:
    path = folder / "statistics" / f"{file}.npz"
    if not path.exists():
        return None
    from clsnorm.statistics import load

    try:
        return load(path)
    except InputError as error:
        log.warning("no nulls are shown: %s", error)
        return None
