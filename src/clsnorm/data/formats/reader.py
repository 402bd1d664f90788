"""What every file format has in common: a `Reader` turns files into `Table`s."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

Column = str | int  # the name of a column, or its number from 0 in a file without a header
TEXTS, LABEL = ("first text", "second text"), "label"  # the columns of a table that comes from a source
CHUNK = 8192  # rows per table

T = TypeVar("T")


@dataclass
class Table:
    """A chunk of rows, column by column.

    A reader returns the columns of the file. A source picks the texts and the label among them: see `of_texts`.

    Attributes:
        columns: The cells of each column; None is an empty cell.
        lines: Where each row starts in its file, counted from 1.
        shown: The file, as messages name it.
        unit: What ``lines`` counts, for messages: ``line``, or ``row`` if the file has no lines.
        drops: How many rows of this chunk were left out, by reason.
    """

    columns: dict[Column, list[Any]]
    lines: list[int]
    shown: str
    unit: str = "line"
    drops: dict[str, int] = field(default_factory=dict)

    def of_texts(self, texts: Sequence[list[Any]], labels: list[Any]) -> Table:
        """Returns the same rows with these columns: one text or two, and the label."""
        return dataclasses.replace(self, columns={**dict(zip(TEXTS, texts, strict=False)), LABEL: labels})

    @property
    def texts(self) -> list[list[Any]]:
        """One list of texts, or two for pairs; of a table that comes from a source."""
        return [self.columns[name] for name in TEXTS if name in self.columns]

    @property
    def labels(self) -> list[Any]:
        """Names, codes or numbers as the file has them; of a table that comes from a source."""
        return self.columns[LABEL]

    def keep(self, rows: Sequence[int]) -> Table:
        """Returns the table with only ``rows``, in that order."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        return dataclasses.replace(self, columns=columns, lines=[self.lines[row] for row in rows])


class Reader(ABC):
    """The format of a split's files."""

    @abstractmethod
    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Table]:
        """Yields the rows of ``files`` in order, at most ``CHUNK`` per table.

        Args:
            files: The files of one split.
            columns: The columns to return.
            shown: Each file, as messages name it.

        Raises:
            InputError: If a column is missing or occurs twice, a file is empty, or rows are malformed. The message
                gives the lines of the first five; it may come only after all rows of the file were yielded.
        """


class FileReader(Reader):
    """A format in which every file is complete: the files of a split are read one after the other."""

    @abstractmethod
    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Table]:
        """Yields the rows of one file; raises as `read` does."""

    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Table]:
        for path, name in zip(files, shown, strict=True):
            yield from _without_empty(self.read_file(path, columns, shown=name))


def _without_empty(tables: Iterable[Table]) -> Iterator[Table]:
    """Leaves out tables without rows and moves their drops to the table before; a file yields one table at least."""
    held: Table | None = None
    for table in tables:
        if held is None:
            held = table
        elif held.lines and table.lines:
            yield held
            held = table
        else:
            drops = _sum(held.drops, table.drops)
            held = dataclasses.replace(table if table.lines else held, drops=drops)
    if held is not None:
        yield held


def _sum(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {reason: first.get(reason, 0) + second.get(reason, 0) for reason in {**first, **second}}


def in_chunks(rows: Iterable[T]) -> Iterator[list[T]]:
    """Yields ``rows`` in lists of at most ``CHUNK``."""
    left = iter(rows)
    while part := list(islice(left, CHUNK)):
        yield part


def in_tables(
    rows: Iterable[tuple[int, Sequence[Any]]],
    names: Sequence[Column],
    columns: Sequence[Column],
    shown: str,
    unit: str = "line",
) -> Iterator[Table]:
    """Yields ``columns`` of ``rows``, each the line it starts on and the cells of the columns ``names``."""
    places = {column: names.index(column) for column in columns}
    for part in in_chunks(rows):
        cells = {column: [row[at] for _, row in part] for column, at in places.items()}
        yield Table(cells, [number for number, _ in part], shown, unit)


def empty_lines(count: int) -> dict[str, int]:
    """Returns the drops of ``count`` empty lines."""
    return {"empty line": count} if count else {}
