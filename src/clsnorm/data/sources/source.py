"""What every source has in common. Sources are tried in the order in which the configuration names them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from clsnorm.config.spelling import place, spell
from clsnorm.data.formats.reader import Column, Table
from clsnorm.errors import InputError

LABEL, NO_LABEL = "label ", "no label"  # reasons why a row is left out
UNCHANGED = object()  # a label without a new name


class Unavailable(Exception):  # noqa: N818 -- not an error yet: the next source may have the rows
    """A source does not have the rows on this machine; the message says where it looked."""


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A place that may have a data set's rows.

    Args:
        splits: The file or files, or the split or splits of the hub, of ``train``, ``select``, ``report`` and
            ``report_*``. Missing ones are carved from ``train``.
        text: One text, or two for sentence pairs; each is a column, or a list of columns to join by a space.
        label: The column of the labels.
        names: From values of the label column to classes. Rows whose class is null are left out and counted. Other
            values stay as they are. A key means the labels that it would mean in ``data.labels``.
    """

    kind: ClassVar[str]
    splits: Mapping[str, str | list[str]]
    text: Sequence[Column | list[Column]]
    label: Column
    names: dict[Any, Any] | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.text) <= 2:
            raise InputError(
                f"Expected argument `text` to name one column or two (a list in it: columns to be joined), but got "
                f"{list(self.text)}"
            )
        self._require_different_columns()
        odd = [s for s in self.splits if s not in ("train", "select") and not s.startswith("report")]
        if odd or "train" not in self.splits:
            raise InputError(
                f"Expected argument `splits` to name train, and optionally select, report and report_*, but got "
                f"{', '.join(self.splits)}"
            )

    def _require_different_columns(self) -> None:
        """Refuses a label that is part of the text, and a text that is named twice."""
        parts = [_listed(text) for text in self.text]
        same = len(parts) == 2 and parts[0] == parts[1]
        if same or any(self.label in part or len(set(part)) < len(part) for part in parts):
            raise InputError(
                f"Expected argument `text` to name different columns, and not the label's, but got text="
                f"{list(self.text)} and label={self.label}"
            )

    @abstractmethod
    def fingerprint(self, root: Path) -> str:
        """Returns a string that identifies the content, without reading rows if possible.

        Raises:
            Unavailable: If the rows do not exist here.
        """

    def is_available(self, root: Path) -> bool:
        """Can the rows be read without a network?"""
        try:
            self.fingerprint(root)
        except Unavailable:
            return False
        return True

    def available_splits(self, root: Path) -> list[str]:
        """Returns the splits that can be read without a network, perhaps only some of them."""
        return list(self.splits) if self.is_available(root) else []

    def has_changed(self, root: Path, content: str) -> bool:
        """Can the rows be read without a network, and with another fingerprint than ``content``?"""
        return self.is_available(root) and self.fingerprint(root) != content

    @abstractmethod
    def read(self, root: Path, split: str) -> Iterator[Table]:
        """Yields the texts and labels of ``split`` in chunks; raises as `fingerprint` and the reader do."""

    @abstractmethod
    def location(self, root: Path, split: str) -> str:
        """Returns where ``split`` is, in a user's words."""

    @property
    @abstractmethod
    def cure(self) -> str:
        """What a user can do if the source does not have the rows."""

    def describe(self) -> dict[str, Any]:
        """Returns all arguments that affect what is read, as plain values: a part of the cache's key."""
        return describe(self)

    @property
    def columns(self) -> list[Column]:
        """The columns to read, each once: those of the texts and the label."""
        return list(dict.fromkeys([column for text in self.text for column in _listed(text)] + [self.label]))

    def files(self, split: str) -> list[str]:
        """Returns the value of `splits` for one split, as a list."""
        named = self.splits[split]
        return [named] if isinstance(named, str) else list(named)

    def table(self, read: Table) -> Table:
        """Returns the texts and the labels of a reader's table, with the classes of ``names``."""
        texts = [_joined(read, text) for text in self.text]
        table = read.of_texts(texts, read.columns[self.label])
        return _renamed(table, self.names) if self.names else table


def _renamed(table: Table, names: Mapping[Any, Any]) -> Table:
    """Replaces the labels that ``names`` has, and leaves out the rows whose new label is None."""
    rows, labels, drops = [], [], dict(table.drops)
    known: dict[tuple[bool, str], Any] = {}  # new labels of those seen
    for row, label in enumerate(table.labels):
        name = spell(label)
        seen = (isinstance(label, str), name)
        if seen not in known:
            known[seen] = _new_label(label, names)
        renamed = known[seen]
        if renamed is None:
            reason = f"{LABEL}{name}" if name else NO_LABEL
            drops[reason] = drops.get(reason, 0) + 1
        else:
            rows.append(row)
        labels.append(renamed if renamed is not UNCHANGED else label)
    return dataclasses.replace(table.of_texts(table.texts, labels), drops=drops).keep(rows)


def _new_label(label: Any, names: Mapping[Any, Any]) -> Any:
    """Returns the value of the key that is spelled like ``label`` or else means the same; or `UNCHANGED`."""
    keys = list(names)
    at = place(label, keys)
    return UNCHANGED if at is None else names[keys[at]]


def _listed(text: Column | list[Column]) -> list[Column]:
    return [text] if isinstance(text, str | int) else list(text)


def _joined(read: Table, text: Column | list[Column]) -> list[Any]:
    """Returns a column, or the texts of several joined by a space."""
    if isinstance(text, str | int):
        return read.columns[text]
    return [_joined_row(row) for row in zip(*(read.columns[column] for column in text), strict=True)]


def _joined_row(cells: Sequence[Any]) -> Any:
    """Joins the cells that are not empty; returns one that is no text as it is, to be refused later."""
    filled = [cell for cell in cells if cell]
    odd = [cell for cell in filled if not isinstance(cell, str)]
    return odd[0] if odd else " ".join(filled)


def describe(part: Any) -> Any:
    """Returns a tree of dataclasses as plain values, with the names of the classes."""
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        values = {f.name: describe(getattr(part, f.name)) for f in dataclasses.fields(part)}
        return {"class": type(part).__name__, **values}
    if isinstance(part, Mapping):
        return {_key(name): describe(value) for name, value in part.items()}
    return part


def _key(name: object) -> str:
    """Returns a key of a mapping as text; a value, such as True, differs from the text of it."""
    return name if isinstance(name, str) else f"{type(name).__name__} {name!r}"
