"""Sources: where a data set's rows come from. They are tried in the order in which the configuration names them."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from clsnorm.data.readers import Column, Columns, Reader
from clsnorm.errors import InputError


class Unavailable(Exception):  # noqa: N818 -- not an error yet: the next source may have the rows
    """A source does not have the rows here and now; the message says what was tried at which place."""


@dataclass
class Table:
    """One published part of a data set, as its source has it.

    Attributes:
        texts: One list of texts, or two for pairs.
        labels: Names, codes or numbers, as they stand there.
        ids: The number of each row in its part, from 0.
        lines: Where each row stands in its file.
        unit: What ``lines`` counts.
        shown: How messages name the file.
        drops: Rows left out, by reason.
    """

    texts: list[list[Any]]
    labels: list[Any]
    ids: list[int]
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
            ids=[self.ids[i] for i in rows],
            lines=[self.lines[i] for i in rows],
        )


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A place that may have a data set's rows.

    Args:
        splits: Which file, or which split of the hub, each of ``train``, ``select``, ``report`` and ``report_*`` is.
            What is not named here is carved from ``train``.
        text: One column, or two for sentence pairs.
        label: The column of the labels.
    """

    kind: ClassVar[str]
    splits: dict[str, str]
    text: list[Column]
    label: Column

    def __post_init__(self) -> None:
        if not 1 <= len(self.text) <= 2:
            raise InputError(f"Expected argument `text` to name one column or two, but got {list(self.text)}")
        odd = [s for s in self.splits if s not in ("train", "select") and not s.startswith("report")]
        if odd or "train" not in self.splits:
            raise InputError(
                f"Expected argument `splits` to name train, and at will select, report and report_*, but got "
                f"{', '.join(self.splits)}"
            )

    @abstractmethod
    def fingerprint(self, root: Path) -> str:
        """Returns what identifies the content, without reading rows where that can be helped.

        Raises:
            Unavailable: If the rows are not to be had here.
        """

    @abstractmethod
    def read(self, root: Path, split: str) -> Table:
        """Returns the rows of ``split``; raises as `fingerprint` and as the reader do."""

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

    def table(self, columns: Columns, shown: str, rows: Sequence[int] | None = None) -> Table:
        """Returns the text and label columns as a table, of ``rows`` only if given."""
        table = Table(
            texts=[columns.values[c] for c in self.text],
            labels=columns.values[self.label],
            ids=list(range(len(columns.lines))),
            lines=columns.lines,
            unit=columns.unit,
            shown=shown,
            drops=dict(columns.drops),
        )
        if rows is None:
            return table
        return dataclasses.replace(table.keep(rows), ids=list(range(len(rows))))


def describe(part: Any) -> Any:
    """Returns a tree of dataclasses as plain values, with the names of the classes."""
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        values = {f.name: describe(getattr(part, f.name)) for f in dataclasses.fields(part)}
        return {"class": type(part).__name__, **values}
    return part


@lru_cache(maxsize=64)
def _hash(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """Returns the sha256 of a file; computed once in a process as long as the file does not change."""
    status = path.stat()
    return _hash(path, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, kw_only=True)
class FilesSource(Source):
    """Published files below the folder ``paths.data``, or a user's own files.

    Args:
        reader: How the files are laid out.
    """

    kind = "files"
    reader: Reader

    def path(self, root: Path, split: str) -> Path:
        """Returns the path of the file that holds ``split``."""
        return root.expanduser() / Path(self.splits[split]).expanduser()

    def fingerprint(self, root: Path) -> str:
        absent = [self.location(root, s) for s in self.splits if not self.path(root, s).is_file()]
        if absent:
            raise Unavailable(f"the file{'s' if len(absent) > 1 else ''} {', '.join(absent)} (not there)")
        hashes = {split: file_hash(self.path(root, split)) for split in self.splits}
        return hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()

    def read(self, root: Path, split: str) -> Table:
        shown = self.location(root, split)
        columns = list(dict.fromkeys([*self.text, self.label]))
        return self.table(self.reader.read(self.path(root, split), columns, shown=shown), shown)

    def location(self, root: Path, split: str) -> str:
        return str(root / self.splits[split])

    @property
    def cure(self) -> str:
        return f"set paths.data=FOLDER or CLSNORM_DATA=FOLDER to a folder with {', '.join(self.splits.values())}"


@dataclass(frozen=True, kw_only=True)
class WheelSource(Source):
    """A file inside an installed package, found without importing the package.

    Args:
        package: The package's import name.
        requirement: What to install if it is not there.
        sha256: Of the file.
        reader: How the file is laid out.
        where: Column and value that a row must have, for a file that holds several data sets.
    """

    kind = "wheel"
    package: str
    requirement: str
    sha256: str
    reader: Reader
    where: Mapping[str, str]

    def path(self, split: str) -> Path:
        """Returns the path of the file that holds ``split``; raises Unavailable if there is none."""
        spec = importlib.util.find_spec(self.package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            if (path := Path(folder) / self.splits[split]).is_file():
                return path
        raise Unavailable(f"{self.splits[split]} in the package {self.package} (not installed)")

    def fingerprint(self, root: Path) -> str:
        for split in self.splits:
            if (found := file_hash(self.path(split))) != self.sha256:
                raise InputError(
                    f"Expected {self.location(root, split)} to have sha256 {self.sha256[:12]}..., but got "
                    f"{found[:12]}...: it is of another version. Run `pip install {self.requirement}`"
                )
        return self.sha256

    def read(self, root: Path, split: str) -> Table:
        shown = self.location(root, split)
        wanted = list(dict.fromkeys([*self.text, self.label, *self.where]))
        columns = self.reader.read(self.path(split), wanted, shown=shown)
        filters = [(columns.values[column], value) for column, value in self.where.items()]
        rows = [i for i in range(len(columns.lines)) if all(cells[i] == value for cells, value in filters)]
        return self.table(columns, shown, rows)

    def location(self, root: Path, split: str) -> str:
        return f"wheel:{self.package}/{self.splits[split]}"

    @property
    def cure(self) -> str:
        return f"run `pip install {self.requirement}`"
