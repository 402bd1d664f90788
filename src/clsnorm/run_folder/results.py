"""``results.json``: a run's scores and how they were reached, written last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError
from clsnorm.seals import read_json

NUMBER = (int, float)
TYPES: dict[str, type | tuple[type, ...]] = {
    "status": str,
    "aborted_by": (str, type(None)),
    "data": str,
    "normalizer": str,
    "normalizer_details": dict,
    "model": str,
    "seed": int,
    "seeds": dict,
    "config_hash": str,
    "monitor": str,
    "num_outputs": int,
    "train_examples": int,
    "selected_step": int,
    "steps": int,
    "epochs": int,
    "examples_per_second": NUMBER,
    "frozen": (dict, type(None)),
    "profile": dict,
    "source": dict,
    "commit": (str, type(None)),
    "metrics": dict,
    "files": dict,
    "majority": (*NUMBER, type(None)),
    "collapsed": bool,
    "failed": bool,
    "failure": dict,
}
SHOWN = (  # without these a finished run cannot be shown
    "status", "data", "normalizer", "model", "seed", "monitor", "train_examples", "selected_step", "steps",
    "examples_per_second", "metrics", "majority", "collapsed",
)  # fmt: skip
REUSED = (*SHOWN, "source", "commit")
LOADED = (*SHOWN, "num_outputs")
LOST = "Delete it, and the same command trains the run again from the start"


def read_results(path: Path, advice: str = LOST) -> dict[str, Any] | None:
    """Returns the results, or None if the run has not finished.

    Args:
        path: The file.
        advice: What a user can do if it is damaged, as a sentence without its full stop.

    Raises:
        DamagedFileError: If the file is not what was written, or a value has another type than a run writes.
    """
    if not path.exists():
        return None
    results = read_json(path, advice)
    wrong = [name for name, types in TYPES.items() if name in results and not _has_type(results[name], types)]
    metrics = results.get("metrics")
    if isinstance(metrics, dict):
        wrong += [f"metrics.{name}" for name, value in metrics.items() if not _has_type(value, (*NUMBER, type(None)))]
    if wrong:
        raise DamagedFileError.of(path, f"unexpected type of {', '.join(wrong[:5])}", advice)
    return results


def require(results: Mapping[str, Any], path: Path, names: Iterable[str], advice: str = LOST) -> None:
    """Raises DamagedFileError if the results read from ``path`` lack one of ``names``."""
    if missing := [name for name in names if name not in results]:
        raise DamagedFileError.of(path, f"it lacks {', '.join(missing[:5])}", advice)


def _has_type(value: object, types: type | tuple[type, ...]) -> bool:
    return isinstance(value, types) and not (isinstance(value, bool) and types is not bool)


def shortfall(results: Mapping[str, Any]) -> str:
    """Returns what is wrong with a run's scores, in a word; empty if nothing is.

    ``failed``, or, for a run of an older version that did not record it, ``collapsed``.
    """
    name = "failed" if "failed" in results else "collapsed"
    return name if results[name] else ""


def finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Replaces NaN and inf by None: JSON has neither.

    A loss may have diverged; a correlation is undefined if all labels or all predictions are equal.
    """
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def without_nan(value: Any) -> Any:
    """Returns plain values with NaN and infinity replaced by None, also inside of dicts and lists: JSON has neither."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
