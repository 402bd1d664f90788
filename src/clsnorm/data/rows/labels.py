"""From what stands in the label column to class ids or numbers, chunk by chunk."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from clsnorm.data.formats.faults import Faults, names_of
from clsnorm.data.rows.columns import Column, length, tally
from clsnorm.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from clsnorm.data.formats.reader import Table

MOST_CLASSES = 1 << 16  # more different labels than this are no classes; a column of texts was named, say


def spell(label: Any) -> str:
    """Returns a label as a name: ``1`` for 1, 1.0 and ``" 1 "``, ``true`` for True, an empty one for None and NaN."""
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return ""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label).strip()


class Coder(ABC):
    """Gives the labels of one split, chunk by chunk, and tells of all faults at the end of each file.

    Attributes:
        dtype: Of the labels.
        labels: Class names in the order of their ids, once `finish` has returned; None for numbers.
    """

    dtype: ClassVar[type] = np.int64
    labels: list[str] | None = None

    def __init__(self) -> None:
        self._faults = Faults("", "")
        self._files: dict[str, None] = {}  # in the order of their reading

    def encode(self, table: Table) -> np.ndarray:
        """Returns the label of each row of the next chunk; what a faulty row gets is not to be used."""
        if table.shown != self._faults.file:
            self._refuse_faults()
            self._faults = Faults(table.shown, table.unit)
            self._files[table.shown] = None
        return self._encode(table, self._faults)

    def finish(self) -> None:
        """Raises InputError if the split is faulty; faulty rows are named by their line."""
        self._refuse_faults()

    @abstractmethod
    def _refuse_faults(self) -> None:
        """Raises InputError if a row of the present file was faulty."""

    def final(self, coded: np.ndarray) -> np.ndarray:
        """Returns what all that `encode` gave stands for, once `finish` has returned."""
        return coded

    @abstractmethod
    def _encode(self, table: Table, faults: Faults) -> np.ndarray:
        """Returns the labels of a chunk and notes its faults."""


class Classes(Coder):
    """Class ids, int64, of known classes.

    A file may hold names or codes (0 is the first name). Codes are understood only if the names are stated by the
    configuration, so that their order has a meaning, and if no row of the first chunk holds a name, so that a stray
    number is not taken for a class.

    Args:
        labels: Class names in the order of their ids.
        stated: Whether the configuration names them; False: they were found in train.
    """

    def __init__(self, labels: Sequence[str], *, stated: bool) -> None:
        super().__init__()
        self.labels: list[str] = list(labels)
        self._stated = stated
        self._known: dict[str, int] | None = None

    def _refuse_faults(self) -> None:
        named = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
        self._faults.refuse(f"Expected labels among {named}", "Mend these rows, or declare their label in data.labels")

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
    """Class ids, int64, of whatever classes there are: sorted by value if all are integers, else as text."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, int] = {}  # in the order of their appearance: what `encode` gives
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
        self._faults.refuse("Expected a label in each row", "Mend these rows")

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
            self.finish()  # says so if they are numbers
            raise InputError(f"Expected at most {MOST_CLASSES} classes, but {table.shown} has more. Check data.label")
        return numbers


class Values(Coder):
    """Numbers to predict, float32."""

    dtype = np.float32

    def _refuse_faults(self) -> None:
        self._faults.refuse(
            "Expected a finite number to predict in each row", "Mend these rows, or set data.task=classification"
        )

    def _encode(self, table: Table, faults: Faults) -> np.ndarray:
        numbers = np.array([_number(spell(label)) for label in table.labels], np.float64)  # None becomes NaN
        with np.errstate(over="ignore"):
            values = numbers.astype(np.float32)
        for row in np.flatnonzero(~np.isfinite(values)):  # also what float32 cannot hold
            faults.add(table.lines[row], f"{table.labels[row]!r}")
        return values


def class_ids(table: Table, labels: Sequence[str], *, stated: bool) -> np.ndarray:
    """Returns the class id of each row of a table that is a whole split, as `Classes` does."""
    return _whole(Classes(labels, stated=stated), table)


def values(table: Table) -> np.ndarray:
    """Returns the number of each row of a table that is a whole split, as `Values` does."""
    return _whole(Values(), table)


def _whole(coder: Coder, table: Table) -> np.ndarray:
    coded = coder.encode(table)
    coder.finish()
    return coded


def absent_classes(ids: Column, labels: Sequence[str]) -> list[str]:
    """Returns the classes of which no row is."""
    counts = tally(ids, len(labels))
    return [name for name, count in zip(labels, counts, strict=True) if count == 0]


def require_classes(
    ids: Column, labels: Sequence[str], split: str, cure: str, *, untrained: Collection[str] = ()
) -> None:
    """Raises InputError, which ends with ``cure``, if a class has no row in ``split``, but for those ``untrained``."""
    if absent := [name for name in absent_classes(ids, labels) if name not in untrained]:
        raise InputError(
            f"Expected each class in the {split} split, but {length(ids)} rows hold none of: {names_of(absent)}. Give "
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
