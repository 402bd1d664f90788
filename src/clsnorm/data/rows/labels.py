"""From the cells of the label column to class ids, chunk by chunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from clsnorm.config.spelling import fold, is_typed, number, shown, spell
from clsnorm.data.formats.faults import SHOWN, Faults, names_of
from clsnorm.data.formats.reader import Table
from clsnorm.data.rows.matching import codes, match, require_one_word
from clsnorm.errors import InputError, did_you_mean

MOST_CLASSES = 1 << 16  # more different labels are no classes; the named column probably holds texts
NO_LABELS = (list, tuple, dict, set, bytes)


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


class ClassCoder(Coder):
    """Encodes labels as class ids, int64. While rows are read, a label's number is its order of appearance.

    Args:
        merged: Whether labels that look the same are one class: see `clsnorm.config.spelling.fold`.
    """

    def __init__(self, *, merged: bool) -> None:
        super().__init__()
        self._merged, self._missing = merged, False  # whether a row has no label
        self._found: dict[str, Any] = {}  # by spelling: the first such label
        self._numbers: dict[str, int] = {}
        self._counts = np.zeros(0, np.int64)  # rows of each
        self._ids: dict[str, int] = {}  # by spelling, once `finish` has returned

    @property
    def spellings(self) -> dict[str, dict[str, int]]:
        """Rows of each label of the file, by class; once `finish` has returned."""
        found: dict[str, dict[str, int]] = {name: {} for name in self.labels or ()}
        for name, count in zip(self._found, self._counts.tolist(), strict=True):
            found[(self.labels or [])[self._ids[name]]][name] = count
        return found

    def final(self, coded: np.ndarray) -> np.ndarray:
        return np.array([self._ids[name] for name in self._found], np.int64)[coded]

    def _encode(self, table: Table, faults: Faults) -> np.ndarray:
        found, numbers, coded = self._found, self._numbers, np.empty(len(table.labels), np.int64)
        for row, label in enumerate(table.labels):
            name = spell(label)
            if not name or isinstance(label, NO_LABELS):
                coded[row] = -1
                faults.add(table.lines[row], partial(_fault, label))
                self._missing |= not name
                continue
            if name not in numbers:
                numbers[name], found[name] = len(numbers), label
            coded[row] = numbers[name]
        counts = np.bincount(coded[coded >= 0], minlength=len(found))
        counts[: len(self._counts)] += self._counts
        self._counts = counts
        return coded

    def _refuse_faults(self) -> None:
        drop = ", or drop those without a label: data.drop_labels=[null] (data=files)" if self._missing else ""
        self._faults.refuse("Expected a label in each row", f"Give each of these rows one label{drop}")


class Classes(ClassCoder):
    """Class ids of known classes.

    A file may hold names or codes (0 is the first name). Codes are understood only if the configuration states the
    names, so that their order has a meaning, if none of these is itself a number, and if no row of the split holds a
    name.

    Args:
        labels: The classes in the order of their ids, as stated, or their names as found in train.
        names: How the files spell them, as far as other splits have shown, else empty; None: no split was read yet.
        stated: Whether the configuration states them; False: they were found in train.
        merged: See `ClassCoder`.
    """

    def __init__(self, labels: Sequence[Any], names: Sequence[str] | None, *, stated: bool, merged: bool) -> None:
        super().__init__(merged=merged)
        self._classes, self._stated = list(labels), stated
        self.names = ["" if is_typed(label) else spell(label) for label in labels] if names is None else list(names)
        self._strays: Faults | None = None  # of the first file that has labels of no class

    def finish(self) -> None:
        """Raises InputError if the split is faulty, or if a label is of no class."""
        super().finish()
        require_one_word(self._ids, self._classes, self.names)
        if not self._ids and self._stated:
            self._ids = codes(self._found, self._classes)
        elif self._ids:
            self._adopt_spellings()
        if self._strays and len(self._ids) < len(self._found):
            self._refuse_strays(self._strays)
        self.labels = [name or spell(label) for name, label in zip(self.names, self._classes, strict=True)]

    def _encode(self, table: Table, faults: Faults) -> np.ndarray:
        known = len(self._found)
        coded = super()._encode(table, faults)
        new = dict(islice(self._found.items(), known, None))
        self._ids |= match(new, self._classes, self.names, merged=self._merged)
        if len(self._ids) < len(self._found):
            self._note_strays(table, coded)
        if len(self._found) > MOST_CLASSES:
            self.finish()
        return coded

    def _note_strays(self, table: Table, coded: np.ndarray) -> None:
        self._strays = self._strays or Faults(table.shown, table.unit)
        if self._strays.file == table.shown:
            found = list(self._found)
            stray = np.array([name not in self._ids for name in found])
            rows = np.flatnonzero((coded >= 0) & stray[coded])
            for row in rows[:SHOWN]:
                self._strays.add(table.lines[row], partial(_unknown, found[coded[row]], self._known()))
            self._strays.count += len(rows[SHOWN:])

    def _refuse_strays(self, strays: Faults) -> None:
        known, looks = self._known(), {fold(name) for name in self._known()}
        cure = "Fix these rows, or add their label to data.labels"
        if any(fold(name) in looks for name in self._found.keys() - self._ids.keys()):
            cure += (
                "; to merge labels that differ only in case, spaces or Unicode form, set data.normalize_labels=true "
                "(data=files), or `names` of the source"
            )
        strays.refuse(f"Expected labels among {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}", cure)

    def _known(self) -> list[str]:
        return [name or shown(label) for name, label in zip(self.names, self._classes, strict=True)]

    def _adopt_spellings(self) -> None:
        """Gives each class without a name the spelling of most rows of the split."""
        for at, name in enumerate(self.names):
            rows = {found: count for found, count in self._rows().items() if self._ids.get(found) == at}
            self.names[at] = name or (_most_frequent(rows) if rows else "")

    def _rows(self) -> dict[str, int]:
        return dict(zip(self._found, self._counts.tolist(), strict=True))


class FoundClasses(ClassCoder):
    """Class ids of the classes found in the rows: sorted by value if all are integers, else as text.

    Args:
        merged: See `ClassCoder`; a class is then named as most rows spell it.
    """

    def finish(self) -> None:
        """Raises InputError if there are fewer than two classes, if they look like numbers, or if a row has none."""
        names, shown, rows = list(self._found), names_of(self._files), int(self._counts.sum())
        if len(names) > max(20, rows // 2) and all(number(name) is not None for name in names):
            raise InputError(
                f"Expected classes in {shown}, but found {len(names)} different numbers in {rows} rows. "
                "To predict a number, set data.task=regression"
            )
        super().finish()
        classes = self._grouped()
        if len(classes) < 2:
            found = f"only {next(iter(classes))!r}" if classes else "none"
            raise InputError(f"Expected at least two classes in {shown}, but found {found}. Check data.label")
        whole = all(name.removeprefix("-").isdecimal() for name in classes)
        self.labels = sorted(classes, key=lambda name: (int(name), name)) if whole else sorted(classes)
        place = {title: at for at, title in enumerate(self.labels)}
        self._ids = {name: place[title] for title, group in classes.items() for name in group}

    def _grouped(self) -> dict[str, list[str]]:
        """Returns the labels of each class by its name."""
        groups: dict[Any, dict[str, int]] = {}
        for name, count in zip(self._found, self._counts.tolist(), strict=True):
            groups.setdefault(fold(name) if self._merged else name, {})[name] = count
        return {_most_frequent(rows): list(rows) for rows in groups.values()}

    def _encode(self, table: Table, faults: Faults) -> np.ndarray:
        coded = super()._encode(table, faults)
        if len(self._found) > MOST_CLASSES:
            self.finish()  # has a better message if they are numbers
            raise InputError(f"Expected at most {MOST_CLASSES} classes, but {table.shown} has more. Check data.label")
        return coded


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
    return f"unknown label {name!r}{did_you_mean(name, known)}"


def _fault(label: object) -> str:
    if isinstance(label, bytes):
        return "bytes that are not UTF-8"
    return f"a {type(label).__name__}, {label!r}" if isinstance(label, NO_LABELS) else "no label"


def _most_frequent(rows: Mapping[str, int]) -> str:
    return max(sorted(rows), key=lambda name: rows[name])
