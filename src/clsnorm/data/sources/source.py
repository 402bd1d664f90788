"""Sources: where a data set's rows come from. They are tried in the order in which the configuration names them."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from clsnorm.data.formats.readers import Column, Columns, Reader
from clsnorm.data.formats.spelling import spell
from clsnorm.errors import InputError
from clsnorm.files import digest, matching


class Unavailable(Exception):  # noqa: N818 -- not an error yet: the next source may have the rows
    """A source does not have the rows here and now; the message says what was tried at which place."""


@dataclass
class Table:
    """A chunk of a published part of a data set, as its source has it.

    Attributes:
        texts: One list of texts, or two for pairs.
        labels: Names, codes or numbers, as they stand there.
        lines: Where each row stands in its file.
        unit: What ``lines`` counts.
        shown: How messages name the file.
        drops: Rows of this chunk that were left out, by reason.
    """

    texts: list[list[Any]]
    labels: list[Any]
    lines: list[int]
    unit: str
    shown: str
    drops: dict[str, int] = field(default_factory=dict)

    def keep(self, rows: Sequence[int]) -> Table:
        """Returns the table with only ``rows``, in their order."""
        return dataclasses.replace(
            self,
            texts=[[column[i] for i in rows] for column in self.texts],
            labels=[self.labels[i] for i in rows],
            lines=[self.lines[i] for i in rows],
        )


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A place that may have a data set's rows.

    Args:
        splits: Which file or files, or which split or splits of the hub, each of ``train``, ``select``, ``report`` and
            ``report_*`` is. What is not named here is carved from ``train``.
        text: One text, or two for sentence pairs; each is a column, or a list of columns to be joined by a space.
        label: The column of the labels.
        names: From what stands in the label column to the class; rows whose label becomes null are left out, and
            counted. What is not named here stays as it is.
    """

    kind: ClassVar[str]
    splits: Mapping[str, str | list[str]]
    text: Sequence[Column | list[Column]]
    label: Column
    names: dict[str, str | None] | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.text) <= 2:
            raise InputError(
                f"Expected argument `text` to name one column or two (a list in it: columns to be joined), but got "
                f"{list(self.text)}"
            )
        self._require_no_answer()
        odd = [s for s in self.splits if s not in ("train", "select") and not s.startswith("report")]
        if odd or "train" not in self.splits:
            raise InputError(
                f"Expected argument `splits` to name train, and at will select, report and report_*, but got "
                f"{', '.join(self.splits)}"
            )

    def _require_no_answer(self) -> None:
        """Refuses a label that is a part of the text, and a text that stands there twice."""
        parts = [[text] if isinstance(text, str | int) else list(text) for text in self.text]
        twice = parts[0] == parts[-1] and len(parts) > 1
        if twice or any(self.label in part or len(set(part)) < len(part) for part in parts):
            raise InputError(
                f"Expected argument `text` to name different columns, and not the label's, but got text="
                f"{list(self.text)} and label={self.label}"
            )

    @abstractmethod
    def fingerprint(self, root: Path) -> str:
        """Returns what identifies the content, without reading rows where that can be helped.

        Raises:
            Unavailable: If the rows are not to be had here.
        """

    def at_hand(self, root: Path) -> bool:
        """Returns whether the rows can be had without asking a network."""
        try:
            self.fingerprint(root)
        except Unavailable:
            return False
        return True

    def has_changed(self, root: Path, content: str) -> bool:
        """Returns whether the rows are at hand with another fingerprint than ``content``, without asking a network."""
        return self.at_hand(root) and self.fingerprint(root) != content

    def splits_at_hand(self, root: Path) -> list[str]:
        """Returns which splits can be had without asking a network, where some can be had without the others."""
        return list(self.splits) if self.at_hand(root) else []

    @abstractmethod
    def read(self, root: Path, split: str) -> Iterator[Table]:
        """Yields the rows of ``split`` chunk by chunk; raises as `fingerprint` and as the reader do."""

    def expected(self, root: Path, split: str) -> int | None:
        """Returns about how many rows ``split`` has, where that is seen without reading them; else None."""
        return None

    @abstractmethod
    def location(self, root: Path, split: str) -> str:
        """Returns where ``split`` is, as the user would say it."""

    @property
    @abstractmethod
    def cure(self) -> str:
        """What a user can do when the source does not have the rows."""

    def describe(self) -> dict[str, Any]:
        """Returns all that steers the reading, as plain values: a part of the cache's key."""
        return describe(self)

    @property
    def columns(self) -> list[Column]:
        """The columns of texts and label, each once."""
        texts = [column for text in self.text for column in ([text] if isinstance(text, str | int) else text)]
        return list(dict.fromkeys([*texts, self.label]))

    def files(self, split: str) -> list[str]:
        """Returns what `splits` names for a split, as a list."""
        named = self.splits[split]
        return [named] if isinstance(named, str) else list(named)

    def table(self, columns: Columns) -> Table:
        """Returns the text and label columns of a chunk as a table, with the classes that ``names`` gives."""
        table = Table(
            texts=[_joined(columns, text) for text in self.text],
            labels=columns.values[self.label],
            lines=columns.lines,
            unit=columns.unit,
            shown=columns.shown,
            drops=dict(columns.drops),
        )
        return self._named(table, self.names) if self.names else table

    def _named(self, table: Table, names: Mapping[str, str | None]) -> Table:
        spelt = [spell(label) for label in table.labels]
        table.labels = [names.get(name, label) for name, label in zip(spelt, table.labels, strict=True)]
        unused = {name for name, label in names.items() if label is None}
        rows = [i for i, name in enumerate(spelt) if name not in unused]
        for name in spelt if len(rows) < len(spelt) else []:
            if name in unused:
                reason = f"label {name}"
                table.drops[reason] = table.drops.get(reason, 0) + 1
        return table.keep(rows) if len(rows) < len(spelt) else table


def _joined(columns: Columns, text: Column | list[Column]) -> list[Any]:
    """Returns the cells of a column, or of several joined by a space; what is not text is left for others to refuse."""
    if isinstance(text, str | int):
        return columns.values[text]
    rows = zip(*(columns.values[column] for column in text), strict=True)
    return [next((c for c in row if c and not isinstance(c, str)), " ".join(filter(_is_text, row))) for row in rows]


def _is_text(cell: Any) -> bool:
    return isinstance(cell, str) and bool(cell)


def describe(part: Any) -> Any:
    """Returns a tree of dataclasses as plain values, with the names of the classes."""
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        values = {f.name: describe(getattr(part, f.name)) for f in dataclasses.fields(part)}
        return {"class": type(part).__name__, **values}
    if isinstance(part, Mapping):
        return {name: describe(value) for name, value in part.items()}
    return part


@dataclass(frozen=True, kw_only=True)
class FilesSource(Source):
    """Published files below the folder ``paths.data``, or a user's own files.

    A name with ``*`` stands for all files that fit, sorted.

    Args:
        reader: How the files are laid out; or a mapping from splits to readers, where they differ.
    """

    kind = "files"
    reader: Reader | dict[str, Reader]

    def reader_of(self, split: str) -> Reader:
        """Returns how the files of ``split`` are laid out."""
        return self.reader[split] if isinstance(self.reader, Mapping) else self.reader

    def paths(self, root: Path, split: str) -> list[Path]:
        """Returns the paths of the files of ``split``, whether they are there or not."""
        found: list[Path] = []
        for name in self.files(split):
            found += matching(root.expanduser() / Path(name).expanduser())
        return found

    def absent(self, root: Path, split: str) -> list[str]:
        """Returns which files of ``split`` are not there."""
        return [str(path) for path in self.paths(root, split) if not path.is_file()]

    def splits_at_hand(self, root: Path) -> list[str]:
        return [split for split in self.splits if not self.absent(root, split)]

    def fingerprint(self, root: Path) -> str:
        absent = list(dict.fromkeys(path for split in self.splits for path in self.absent(root, split)))
        if absent:
            raise Unavailable(f"the file{'s' if len(absent) > 1 else ''} {', '.join(absent)} (not there)")
        hashes = {split: [_identity(path) for path in self.paths(root, split)] for split in self.splits}
        return hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()

    def read(self, root: Path, split: str) -> Iterator[Table]:
        paths = self.paths(root, split)
        shown = [str(path) for path in paths]
        for columns in self.reader_of(split).read(paths, self.columns, shown=shown):
            yield self.table(columns)

    def expected(self, root: Path, split: str) -> int | None:
        return self.reader_of(split).expected(self.paths(root, split))

    def location(self, root: Path, split: str) -> str:
        return ", ".join(str(root / name) for name in self.files(split))

    @property
    def cure(self) -> str:
        named = ", ".join(dict.fromkeys(name for split in self.splits for name in self.files(split)))
        return f"set paths.data=FOLDER or CLSNORM_DATA=FOLDER to a folder with {named}"


def _identity(path: Path) -> tuple[str, str]:
    """Returns the folder's name, which some layouts take for the label, and the hash of the content."""
    return path.parent.name, digest(path)
