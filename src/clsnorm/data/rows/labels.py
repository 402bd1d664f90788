"""From the cells of the label column to class ids or values, chunk by chunk."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from functools import partial
from typing import ClassVar

import numpy as np

from clsnorm.data.formats.faults import Faults, names_of
from clsnorm.data.formats.reader import Table
from clsnorm.data.formats.spelling import spell
from clsnorm.errors import InputError, did_you_mean

MOST_CLASSES = 1 << 16  # more different labels are no classes; the named column probably holds texts


class Coder(ABC):
    """Encodes the labels of one split, chunk by chunk, and raises for all faults of a file at once.

    Attributes:
        dtype: Of the labels.
        labels: Class names in the order of their ids, once `finish` has returned; None for values.
    """

    dtype: ClassVar[type] = np.int64
    labels: list[str] | None = None

    def __init__(self) -> None:
        self._faults = Faults("", "")
        self._files: dict[str, None] = {}  # in the order of reading

    def encode(self, table: Table) -> np.ndarray:
        """Returns the label of each row of the next chunk; that of a faulty row is undefined."""
        if table.shown != self._faults.file:
            self._refuse_faults()
            self._faults = Faults(table.shown, table.unit)
            self._files[table.shown] = None
        return self._encode(table, self._faults)

    def finish(self) -> None:
        """Raises InputError if the split is faulty, naming faulty rows by their line."""
        self._refuse_faults()

    @abstractmethod
    def _refuse_faults(self) -> None:
        """Raises InputError if a row of the current file was faulty."""

    def final(self, coded: np.ndarray) -> np.ndarray:
        """Returns the labels for all that `encode` returned, once `finish` has returned."""
        return coded

    @abstractmethod
    def _encode(self, table: Table, faults: Faults) -> np.ndarray:
        """Returns the labels of a chunk and adds its faults to ``faults``."""


class Classes(Coder):
    """Class ids, int64, of known classes.

    A file may hold names or codes (0 is the first name). Codes are understood only if the configuration states the
    names, so that their order has a meaning, and if no row of the first chunk holds a name, so that a stray number is
    not taken for a class.

    Args:
        labels: Class names in the order of their ids.
        stated: Whether the configuration states them; False: they were found in train.
    """

    def __init__(self, labels: Sequence[str], *, stated: bool) -> None:
        super().__init__()
        self.labels: list[str] = list(labels)
        self._stated = stated
        self._known: dict[str, int] | None = None

    def _refuse_faults(self) -> None:
        named = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
        self._faults.refuse(f"Expected labels among {named}", "Fix these rows, or add their label to data.labels")

    def _encode(self, table: Table, faults: Faults) -> np.ndarray:
        spelt = [spell(label) for label in table.labels]
        if self._known is None and spelt:
            self._known = self._names_or_codes(spelt)
        known = self._known or {}
        ids = np.fromiter((known.get(name, -1) for name in spelt), np.int64, len(spelt))
        for row in np.flatnonzero(ids < 0):
            faults.add(table.lines[row], partial(_unknown, spelt[row], known))
        return ids

    def _names_or_codes(self, spelt: Collection[str]) -> dict[str, int]:
        names = {name: i for i, name in enumerate(self.labels)}
        if self._stated and not any(name in names for name in spelt):
            return {str(i): i for i in range(len(self.labels))}
        return names


class FoundClasses(Coder):
    """Class ids, int64, of the classes found in the rows: sorted by value if all are integers, else as text."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, int] = {}  # in the order of appearance: what `encode` returns
        self._rows = 0

    def finish(self) -> None:
        """Raises InputError if there are fewer than two classes, if they look like numbers, or if a row has none."""
        names, shown = list(self._known), names_of(self._files)
        if len(names) < 2:
            found = f"only {names[0]!r}" if names else "none"
            raise InputError(f"Expected at least two classes in {shown}, but found {found}. Check data.label")
        if len(names) > max(20, self._rows // 2) and all(_number(name) is not None for name in names):
            raise InputError(
                f"Expected classes in {shown}, but found {len(names)} different numbers in {self._rows} rows. "
                "To predict a number, set data.task=regression"
            )
        self._refuse_faults()
        whole = all(name.removeprefix("-").isdecimal() for name in names)
        self.labels = sorted(names, key=int) if whole else sorted(names)

    def final(self, coded: np.ndarray) -> np.ndarray:
        place = {name: i for i, name in enumerate(self.labels or [])}
        return np.array([place[name] for name in self._known], np.int64)[coded]

    def _refuse_faults(self) -> None:
        self._faults.refuse("Expected a label in each row", "Fix these rows")

    def _encode(self, table: Table, faults: Faults) -> np.ndarray:
        self._rows += len(table.labels)
        known, numbers = self._known, np.empty(len(table.labels), np.int64)
        for row, label in enumerate(table.labels):
            name = spell(label)
            if name and not isinstance(label, list | dict):
                numbers[row] = known.setdefault(name, len(known))
            else:
                faults.add(table.lines[row], f"a {type(label).__name__}" if name else "no label")
        if len(known) > MOST_CLASSES:
            self.finish()  # has a better message if they are numbers
            raise InputError(f"Expected at most {MOST_CLASSES} classes, but {table.shown} has more. Check data.label")
        return numbers


class Values(Coder):
    """Numbers to predict, float32."""

    dtype = np.float32

    def _refuse_faults(self) -> None:
        self._faults.refuse(
            "Expected a finite number to predict in each row", "Fix these rows, or set data.task=classification"
        )

    def _encode(self, table: Table, faults: Faults) -> np.ndarray:
        numbers = np.array([_number(spell(label)) for label in table.labels], np.float64)  # None becomes NaN
        with np.errstate(over="ignore"):
            values = numbers.astype(np.float32)
        for row in np.flatnonzero(~np.isfinite(values)):  # float32 overflow included
            faults.add(table.lines[row], f"{table.labels[row]!r}")
        return values


def absent_classes(ids: np.ndarray, labels: Sequence[str]) -> list[str]:
    """Returns the classes without a row."""
    counts = np.bincount(ids, minlength=len(labels))
    return [name for name, count in zip(labels, counts, strict=True) if count == 0]


def require_classes(
    ids: np.ndarray, labels: Sequence[str], split: str, cure: str, *, untrained: Collection[str] = ()
) -> None:
    """Raises InputError, ending with ``cure``, if a class other than ``untrained`` has no row in ``split``."""
    if absent := [name for name in absent_classes(ids, labels) if name not in untrained]:
        raise InputError(
            f"Expected each class in the {split} split, but {len(ids)} rows hold none of: {names_of(absent)}. Give "
            f"more rows of it, or {cure}"
        )


def _unknown(name: str, known: Collection[str]) -> str:
    return f"unknown label {name!r}{did_you_mean(name, known)}" if name else "no label"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
