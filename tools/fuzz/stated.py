"""Ways to state the labels of a file in a configuration: in another order, as texts or as values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Any

TRUTH = [("true", "false"), ("TRUE", "FALSE"), ("yes", "no"), ("Yes", "No")]


def spelled(cell: Any) -> str:
    """Returns how a class is named that a file writes as ``cell``."""
    if isinstance(cell, bytes):
        cell = cell.decode()
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return cell.strip() if isinstance(cell, str) else str(int(cell)) if cell == int(cell) else repr(float(cell))


def stated_labels(rng: Random, cells: Sequence[Any]) -> dict[str, Any]:
    """Returns labels to state, by the names of the classes in ``cells``, in a random order; none for one class."""
    names = list(dict.fromkeys(map(spelled, cells)))
    if len(names) < 2 or "" in names:
        return {}
    rng.shuffle(names)
    values = [_number(name) for name in names]
    texts = not any(isinstance(cell, bool) for cell in cells)
    ways: list[dict[str, Any]] = [dict(zip(names, names, strict=True))]
    if None not in values and len(set(values)) == len(values):
        ways.append(dict(zip(names, values, strict=True)))
        ways.append(
            {name: int(v) if v == int(v) else v for name, v in zip(names, values, strict=True) if v is not None}
        )
    for words in TRUTH:
        if set(names) == set(words) or (not texts and set(names) == {"true", "false"}):
            low = {name: name.lower() in ("true", "yes") for name in names}
            ways += [low, {name: int(low[name]) for name in names}] if not texts else [low]
            ways += [] if texts else [{name: words[0 if low[name] else 1] for name in names}]
    return rng.choice(ways)


def _number(name: str) -> float | None:
    try:
        found = float(name)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
