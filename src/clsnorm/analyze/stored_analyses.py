"""Reads the ``analysis.json`` of each folder, which may be damaged or come from someone else."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError, is_number, is_whole
from clsnorm.seals import read_json

log = logging.getLogger(__name__)
Record = dict[str, Any]  # content of an analysis.json
NULLS = ("null", "null_low", "null_high", "p_below", "p_above")  # earlier versions wrote the first alone
ADVICE = "The page of all analyses leaves it out. Delete it and repeat its command to compute it again"
TEXTS = ("data", "model", "note")


def read_analyses(folder: Path) -> dict[str, Record]:
    """Returns the analyses in ``folder`` by the names of their folders; warns of each that cannot be read."""
    found = {}
    for path in sorted(folder.glob("*/analysis.json")):
        try:
            record = read_json(path, ADVICE)
            if fault := fault_of(record):
                raise DamagedFileError.of(path, fault, ADVICE)
            found[path.parent.name] = record
        except (OSError, DamagedFileError) as error:
            log.warning("%s", error)
    return found


def fault_of(record: Any) -> str:
    """Returns why ``record`` is not the record of an analysis, in a few words; empty if it is one."""
    if not isinstance(record, dict):
        return "it is not a mapping"
    if missing := [name for name in TEXTS if not isinstance(record.get(name), str)]:
        return f"its {missing[0]} is not text"
    if not isinstance(record.get("run"), str | None) or not isinstance(record.get("path", ""), str):
        return "its run or path is not text"
    if not is_whole(record.get("rows")):
        return "its rows are not a whole number"
    sides = record.get("sides")
    if not isinstance(sides, dict) or "before" not in sides:
        return "it has no numbers from before fine-tuning"
    return next((fault for places in sides.values() if (fault := _fault_of_side(places))), "")


def _fault_of_side(places: Any) -> str:
    if not isinstance(places, dict):
        return "its places are not a mapping"
    if not any(place.startswith("layer") for place in places):
        return "it has no layers"
    if strange := [place for place in places if place.startswith("layer") and not re.fullmatch(r"layer\d\d", place)]:
        return f"it has a layer {strange[0]!r}"
    fits = all(isinstance(numbers, dict) and all(map(_is_statistic, numbers.values())) for numbers in places.values())
    return "" if fits else "its statistics are not numbers"


def _is_statistic(found: Any) -> bool:
    if not isinstance(found, dict) or not {"value", "null"} <= found.keys():
        return False
    return all(found.get(name) is None or is_number(found[name]) for name in ("value", *NULLS))
