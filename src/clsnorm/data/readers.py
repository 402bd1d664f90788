"""Readers: from a file to named columns, with the line that each row stands on."""

from __future__ import annotations

import csv
import io
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsnorm.data.faults import Faults, decode, require_columns
from clsnorm.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Column = str | int


@dataclass
class Columns:
    """The wanted columns of one file, row for row.

    Attributes:
        values: The column's name, or its number, to the cells; None where there is nothing.
        lines: Where each row starts in the file, counted from 1.
        unit: What ``lines`` counts, for messages: ``line``, or ``row`` where a file has no lines.
        drops: Rows left out by the reader, by reason.
    """

    values: dict[Column, list[Any]]
    lines: list[int]
    unit: str = "line"
    drops: dict[str, int] = field(default_factory=dict)


class Reader(ABC):
    """How a file is laid out."""

    @abstractmethod
    def read(self, path: Path, columns: Sequence[Column], *, shown: str) -> Columns:
        """Reads ``columns`` of the file at ``path``.

        Args:
            path: The file.
            columns: The columns to keep.
            shown: How messages name the file.

        Raises:
            InputError: If a column is missing or stands there twice, the file is empty, or rows are malformed: the
                first five are named with their line.
        """


@dataclass(frozen=True, kw_only=True)
class Delimited(Reader):
    r"""Rows of cells with a delimiter between them.

    A byte-order mark at the start is skipped; lines end at ``\n`` or ``\r\n`` alone, since text may hold other
    characters that Python counts as line ends. Empty lines are left out, and counted.

    Args:
        delimiter: One character.
        quoting: False: a quote is a character like others, as in the GLUE files. True: RFC 4180, where a quoted cell
            may hold delimiters and line ends.
        header: Whether the first line names the columns. If not, columns are numbers from 0.
        encoding: Of the file.
        drop_malformed: True: rows with too few or too many cells are left out and counted, not refused.
    """

    delimiter: str = "\t"
    quoting: bool = False
    header: bool = True
    encoding: str = "utf-8"
    drop_malformed: bool = False

    def read(self, path: Path, columns: Sequence[Column], *, shown: str) -> Columns:
        text = decode(path, self.encoding, shown)
        rows, lines = self._quoted(text, shown) if self.quoting else self._plain(text)
        filled = [(row, line) for row, line in zip(rows, lines, strict=True) if row and row != [""]]
        drops = {"empty line": len(rows) - len(filled)}
        names: list[Column] = list(filled[0][0]) if self.header and filled else []
        body = filled[1:] if self.header else filled
        if not body:
            raise InputError(f"Expected rows in {shown}, but it has none. Give a file with at least one row")
        if not self.header:
            names = list(range(len(body[0][0])))
        require_columns(columns, names, shown)
        body = self._well_formed(body, len(names), shown, drops)
        places = [names.index(column) for column in columns]
        values = {column: [row[at] for row, _ in body] for column, at in zip(columns, places, strict=True)}
        return Columns(values, [line for _, line in body], drops={k: v for k, v in drops.items() if v})

    def _plain(self, text: str) -> tuple[list[list[str]], list[int]]:
        lines = text.removesuffix("\n").split("\n")
        return [line.removesuffix("\r").split(self.delimiter) for line in lines], list(range(1, len(lines) + 1))

    def _quoted(self, text: str, shown: str) -> tuple[list[list[str]], list[int]]:
        csv.field_size_limit(sys.maxsize)  # the default, 128 KiB, is less than a long document
        parser = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
        rows, lines, start = [], [], 1
        try:
            for row in parser:
                rows.append(row)
                lines.append(start)
                start = parser.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"{shown}, line {start}: {error}. Close the quotes, or read it without quoting (quoting=false)"
            ) from None
        return rows, lines

    def _well_formed(
        self, body: list[tuple[list[str], int]], width: int, shown: str, drops: dict[str, int]
    ) -> list[tuple[list[str], int]]:
        good = [(row, line) for row, line in body if len(row) == width]
        if len(good) < len(body) and not self.drop_malformed:
            faults = Faults(shown, "line")
            for row, line in body:
                if len(row) != width:
                    faults.add(line, f"{len(row)} cells")
            faults.refuse(f"Expected {width} cells a row", "Mend these rows, or check the delimiter and the quoting")
        drops["malformed"] = len(body) - len(good)
        return good


@dataclass(frozen=True, kw_only=True)
class LabelledLines(Reader):
    """Lines of a label, a space, and a text: columns ``label`` and ``text``.

    Args:
        encoding: Of the file.
        label_until: Only what stands before this in the label counts, as in ``DESC:manner``; null: all of it.
    """

    encoding: str = "utf-8"
    label_until: str | None = None

    def read(self, path: Path, columns: Sequence[Column], *, shown: str) -> Columns:
        lines = decode(path, self.encoding, shown).removesuffix("\n").split("\n")
        require_columns(columns, ["label", "text"], shown)
        filled = [(n, *line.removesuffix("\r").partition(" ")) for n, line in enumerate(lines, 1) if line.strip()]
        if not filled:
            raise InputError(f"Expected rows in {shown}, but it has none. Give a file with at least one row")
        labels = [label.partition(self.label_until)[0] if self.label_until else label for _, label, _, _ in filled]
        values = {"label": labels, "text": [text for *_, text in filled]}
        drops = {"empty line": len(lines) - len(filled)} if len(filled) < len(lines) else {}
        return Columns({c: values[str(c)] for c in columns}, [n for n, *_ in filled], drops=drops)


@dataclass(frozen=True, kw_only=True)
class JsonLines(Reader):
    """One JSON object a line.

    Args:
        encoding: Of the file.
    """

    encoding: str = "utf-8"

    def read(self, path: Path, columns: Sequence[Column], *, shown: str) -> Columns:
        lines = decode(path, self.encoding, shown).removesuffix("\n").split("\n")
        faults = Faults(shown, "line")
        rows = [(n, self._object(line, n, faults)) for n, line in enumerate(lines, 1) if line.strip()]
        faults.refuse("Expected one JSON object a line", "Mend these lines")
        if not rows:
            raise InputError(f"Expected rows in {shown}, but it has none. Give a file with at least one row")
        require_columns(columns, list(dict.fromkeys(key for _, row in rows for key in row)), shown)
        for number, row in rows:
            if absent := [str(c) for c in columns if c not in row]:
                faults.add(number, f"no {', '.join(absent)}")
        faults.refuse("Expected each column in each row", "Fill it in")
        values = {c: [row[c] for _, row in rows] for c in columns}
        drops = {"empty line": len(lines) - len(rows)} if len(rows) < len(lines) else {}
        return Columns(values, [n for n, _ in rows], drops=drops)

    @staticmethod
    def _object(line: str, number: int, faults: Faults) -> dict[Any, Any]:
        try:
            value = json.loads(line, object_pairs_hook=_unique)
        except ValueError as error:
            faults.add(number, str(error))
            return {}
        if not isinstance(value, dict):
            faults.add(number, f"a {type(value).__name__}")
            return {}
        return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a key stands there twice")
    return dict(pairs)


@dataclass(frozen=True, kw_only=True)
class ParquetFile(Reader):
    """A Parquet file; only the wanted columns are read."""

    def read(self, path: Path, columns: Sequence[Column], *, shown: str) -> Columns:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            schema = pq.read_schema(path)
            require_columns(columns, schema.names, shown)
            table = pq.read_table(path, columns=[str(c) for c in columns])
        except pa.ArrowInvalid as error:
            raise InputError(f"{shown} is not a Parquet file: {str(error).splitlines()[0]}. Write it again") from None
        return from_arrow(table, columns, shown)


def from_arrow(table: pa.Table, columns: Sequence[Column], shown: str) -> Columns:
    """Returns the ``columns`` of an Arrow table; raises InputError if it has no rows."""
    if not table.num_rows:
        raise InputError(f"Expected rows in {shown}, but it has none. Give a file with at least one row")
    values: dict[Column, list[Any]] = {c: table.column(str(c)).to_pylist() for c in columns}
    return Columns(values, list(range(1, table.num_rows + 1)), unit="row")
