"""Readers: from files to chunks of named columns, with the line that each row stands on."""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsnorm.data.formats.faults import Faults, require_columns, require_rows
from clsnorm.data.formats.text_lines import count_lines, text_lines
from clsnorm.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Column = str | int
CHUNK = 8192  # rows a reader yields at once


@dataclass
class Columns:
    """A chunk of the wanted columns of a file, row for row.

    Attributes:
        values: The column's name, or its number, to the cells; None where there is nothing.
        lines: Where each row starts in its file, counted from 1.
        shown: How messages name the file that these rows stand in.
        unit: What ``lines`` counts, for messages: ``line``, or ``row`` where a file has no lines.
        drops: Rows of this chunk that the reader left out, by reason.
    """

    values: dict[Column, list[Any]]
    lines: list[int]
    shown: str
    unit: str = "line"
    drops: dict[str, int] = field(default_factory=dict)


class Reader(ABC):
    """How the files of a split are laid out."""

    @abstractmethod
    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Columns]:
        """Yields the wanted columns of the rows of ``files``, in order, in chunks of at most ``CHUNK`` rows.

        Args:
            files: The files of one split.
            columns: The columns to keep.
            shown: How messages name each file.

        Raises:
            InputError: If a column is missing or stands there twice, a file is empty, or rows are malformed: the first
                five are named with their line. Faults of rows may be told only after all rows of the file.
        """

    def expected(self, files: Sequence[Path]) -> int | None:
        """Returns about how many rows the ``files`` hold, where that is seen without reading them; else None."""
        return None


class FileReader(Reader):
    """A layout in which each file stands alone: files are read one after the other."""

    @abstractmethod
    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Columns]:
        """Yields the wanted columns of one file; raises as `read` does."""

    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Columns]:
        for path, name in zip(files, shown, strict=True):
            yield from _without_empty(self.read_file(path, columns, shown=name))


def _without_empty(chunks: Iterable[Columns]) -> Iterator[Columns]:
    """Leaves out chunks without a row; what they dropped is told by the chunk before, or by the only one."""
    held: Columns | None = None
    for chunk in chunks:
        if held is None or not held.lines or not chunk.lines:
            first, second = (held.drops if held else {}), chunk.drops
            drops = {reason: first.get(reason, 0) + second.get(reason, 0) for reason in {**first, **second}}
            held = chunk if held is None or chunk.lines else held
            held.drops = drops
        else:
            yield held
            held = chunk
    if held is not None:
        yield held


class LineReader(FileReader):
    """A layout of a row a line, or a few lines where cells hold line breaks."""

    def expected(self, files: Sequence[Path]) -> int | None:
        return count_lines(files)


@dataclass(frozen=True, kw_only=True)
class LabelledLines(LineReader):
    """Lines of a label, a space, and a text: columns ``label`` and ``text``.

    Args:
        encoding: Of the file.
        label_until: Only what stands before this in the label counts, as in ``DESC:manner``; null: all of it.
    """

    encoding: str = "utf-8"
    label_until: str | None = None

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Columns]:
        require_columns(columns, ["label", "text"], shown)
        lines = text_lines(path, self.encoding, shown)
        while part := list(islice(lines, CHUNK)):
            filled = [(number, *line.partition(" ")) for number, line in part if line.strip()]
            labels = [label.partition(self.label_until)[0] if self.label_until else label for _, label, _, _ in filled]
            values = {"label": labels, "text": [text for *_, text in filled]}
            kept: dict[Column, list[Any]] = {column: values[str(column)] for column in columns}
            yield Columns(kept, [n for n, *_ in filled], shown, drops=_empty_lines(len(part) - len(filled)))


@dataclass(frozen=True, kw_only=True)
class JsonLines(LineReader):
    """One JSON object a line.

    Args:
        encoding: Of the file.
    """

    encoding: str = "utf-8"

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Columns]:
        broken, lacking, known = Faults(shown, "line"), Faults(shown, "line"), False
        lines = text_lines(path, self.encoding, shown)
        while part := list(islice(lines, CHUNK)):
            filled = [(number, line) for number, line in part if line.strip()]
            parsed = [(number, _object(line, number, broken)) for number, line in filled]
            objects = [(number, row) for number, row in parsed if row is not None]
            if objects and not known and not broken.count:
                require_columns(columns, list(dict.fromkeys(key for _, row in objects for key in row)), shown)
                known = True
            rows = [(number, row) for number, row in objects if _has_all(row, columns, number, lacking)]
            values = {column: [row[column] for _, row in rows] for column in columns}
            yield Columns(values, [n for n, _ in rows], shown, drops=_empty_lines(len(part) - len(filled)))
        broken.refuse("Expected one JSON object a line", "Mend these lines")
        lacking.refuse("Expected each column in each row", "Fill it in")


def _object(line: str, number: int, faults: Faults) -> dict[Any, Any] | None:
    try:
        value = json.loads(line, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        faults.add(number, str(error))
        return None
    if not isinstance(value, dict):
        faults.add(number, f"a {type(value).__name__}")
        return None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _has_all(row: dict[Any, Any], columns: Sequence[Column], number: int, faults: Faults) -> bool:
    if absent := [str(column) for column in columns if column not in row]:
        faults.add(number, f"no {', '.join(absent)}")
    return not absent


def _empty_lines(count: int) -> dict[str, int]:
    return {"empty line": count} if count else {}


@dataclass(frozen=True, kw_only=True)
class ParquetFile(FileReader):
    """A Parquet file; only the wanted columns are read."""

    def expected(self, files: Sequence[Path]) -> int | None:
        total = 0
        for path in files:
            with open_parquet(path, str(path)) as file:
                total += file.metadata.num_rows
        return total

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Columns]:
        with open_parquet(path, shown) as file:
            require_columns(columns, file.schema_arrow.names, shown)
            require_rows(file.metadata.num_rows, shown)
            first = 1
            for batch in file.iter_batches(CHUNK, columns=[str(column) for column in columns]):
                yield from_arrow(batch, columns, shown, first)
                first += batch.num_rows


@contextlib.contextmanager
def open_parquet(path: Path, shown: str) -> Iterator[pq.ParquetFile]:
    """Opens a Parquet file; raises InputError, also within the ``with`` block, if it is none or a broken one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{shown} is not a Parquet file, or a broken one: {reason}. Write it again") from None


def from_arrow(batch: pa.RecordBatch | pa.Table, columns: Sequence[Column], shown: str, first: int) -> Columns:
    """Returns the ``columns`` of Arrow rows, the first of which has the number ``first``."""
    values: dict[Column, list[Any]] = {column: batch.column(str(column)).to_pylist() for column in columns}
    return Columns(values, list(range(first, first + batch.num_rows)), shown, unit="row")
