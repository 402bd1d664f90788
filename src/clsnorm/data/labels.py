"""From what stands in the label column to class ids or numbers."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clsnorm.data.faults import Faults
from clsnorm.data.sources import Table
from clsnorm.errors import InputError, did_you_mean


def spell(label: Any) -> str:
    """Returns a label as a name: ``1`` for 1, 1.0 and ``" 1 "``, ``true`` for True, an empty string for None."""
    if label is None:
        return ""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label).strip()


def infer_labels(table: Table) -> list[str]:
    """Returns the sorted label names of a training table: by value if all are integers, else as text.

    Raises:
        InputError: If there are fewer than two, or if they look like numbers to predict.
    """
    names = {spell(label) for label in table.labels} - {""}
    if len(names) < 2:
        found = f"only {next(iter(names))!r}" if names else "none"
        raise InputError(f"Expected at least two classes in {table.shown}, but found {found}. Check data.label")
    if len(names) > max(20, len(table.labels) // 2) and all(_number(name) is not None for name in names):
        raise InputError(
            f"Expected classes in {table.shown}, but found {len(names)} different numbers in {len(table.labels)} rows. "
            "To predict a number, set data.task=regression"
        )
    if all(name.removeprefix("-").isdecimal() for name in names):
        return sorted(names, key=int)
    return sorted(names)


def class_ids(table: Table, labels: Sequence[str]) -> np.ndarray:
    """Returns the class id of each row, int64.

    A table may hold names or codes (0 is the first name): codes are understood only if no cell is a name, so that a
    stray number is not taken for a class.

    Raises:
        InputError: If a label is unknown, naming the lines.
    """
    spelt = [spell(label) for label in table.labels]
    known = {name: i for i, name in enumerate(labels)}
    if not any(name in known for name in spelt):
        known = {str(i): i for i in range(len(labels))}
    faults = Faults(table.shown, table.unit)
    for name, line in zip(spelt, table.lines, strict=True):
        if name not in known:
            faults.add(line, f"no label{did_you_mean(name, known)}" if not name else f"unknown label {name!r}")
    names = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
    faults.refuse(f"Expected labels among {names}", "Mend these rows, or declare their label in data.labels")
    return np.fromiter((known[name] for name in spelt), np.int64, len(spelt))


def values(table: Table) -> np.ndarray:
    """Returns the number of each row, float32; raises InputError for what is not a finite number."""
    numbers = [_number(spell(label)) for label in table.labels]
    faults = Faults(table.shown, table.unit)
    for number, label, line in zip(numbers, table.labels, table.lines, strict=True):
        if number is None:
            faults.add(line, f"{label!r}")
    faults.refuse("Expected a finite number to predict in each row", "Mend these rows, or set data.task=classification")
    return np.array(numbers, dtype=np.float32)


def require_classes(ids: np.ndarray, labels: Sequence[str], split: str) -> None:
    """Raises InputError if a declared class has no row in ``split``."""
    counts = np.bincount(ids, minlength=len(labels))
    if absent := [name for name, count in zip(labels, counts, strict=True) if count == 0]:
        raise InputError(
            f"Expected each class in the {split} split, but {len(ids)} rows hold none of: {', '.join(absent[:5])}. "
            "Give more rows of it (each of train, select and report needs one), or take it out of data.labels"
        )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
