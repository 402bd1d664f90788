"""Rows of cells separated by a delimiter: CSV, TSV and similar files."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from clsnorm.data.formats.faults import Faults, require_columns, require_rows
from clsnorm.data.formats.reader import Column, FileReader, Table, empty_lines, in_chunks
from clsnorm.data.formats.text_lines import open_lines, refuse_empty, text_lines
from clsnorm.errors import InputError, require_switch

Row = tuple[int, list[str]]  # the line it starts on, and its cells


@dataclass(frozen=True, kw_only=True)
class Delimited(FileReader):
    r"""Rows of cells separated by a delimiter.

    A byte-order mark at the start is skipped. Lines end only at ``\n`` or ``\r\n``, because text may contain other
    characters that Python treats as line ends. Empty lines are left out and counted.

    Args:
        delimiter: One character.
        quoting: False: a quote is an ordinary character, as in the GLUE files. True: RFC 4180, where a quoted cell may
            contain delimiters and line ends.
        header: Whether the first line names the columns. If not, columns are numbers from 0.
        encoding: Encoding of the file.
        drop_malformed: True: rows with too few or too many cells are left out and counted instead of refused.
        ragged: True: rows may have any number of cells, as long as the requested columns are among them.

    Raises:
        InputError: If ``delimiter`` is not one character, or is one that ends lines or cells, or if a switch is neither
            true nor false.
    """

    delimiter: str = "\t"
    quoting: bool = False
    header: bool = True
    encoding: str = "utf-8"
    drop_malformed: bool = False
    ragged: bool = False

    def __post_init__(self) -> None:
        for name in ("quoting", "header", "drop_malformed", "ragged"):
            require_switch(name, getattr(self, name))
        taken = '\r\n"' if self.quoting else "\r\n"
        if not isinstance(self.delimiter, str) or len(self.delimiter) != 1 or self.delimiter in taken:
            raise InputError(
                f"Expected argument `delimiter` to be one character that ends neither lines nor quotations, but got "
                f"{self.delimiter!r}. Use a comma, a semicolon or \\t"
            )

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Table]:
        rows = self._quoted(path, shown) if self.quoting else self._plain(path, shown)
        first = next((row for row in rows if row[1]), None)
        if first is None:
            refuse_empty(shown)
            return
        names: list[Column] = list(first[1] if self.header else range(len(first[1])))
        require_columns(columns, names, shown)
        body = rows if self.header else chain([first], rows)
        yield from self._tables(body, {column: names.index(column) for column in columns}, len(names), shown)

    def _tables(self, rows: Iterable[Row], places: dict[Column, int], width: int, shown: str) -> Iterator[Table]:
        """Yields the cells at ``places`` of the rows of ``width`` cells, then raises for all other rows."""
        needed = max(places.values()) + 1 if self.ragged else width
        allowed = range(needed, sys.maxsize if self.ragged else needed + 1)  # numbers of cells
        faults, found = Faults(shown, "line"), 0
        for part in in_chunks(rows):
            filled = [row for row in part if row[1]]
            good = [row for row in filled if len(row[1]) in allowed]
            found += len(filled)
            drops = empty_lines(len(part) - len(filled))
            if self.drop_malformed and len(good) < len(filled):
                drops["malformed"] = len(filled) - len(good)
            elif len(good) < len(filled):
                _note_widths(filled, allowed, faults)
            cells = {column: [row[at] for _, row in good] for column, at in places.items()}
            yield Table(cells, [line for line, _ in good], shown, drops=drops)
        require_rows(found, shown)
        rule = f"Expected {needed} cells{' or more' if self.ragged else ''} per row"
        faults.refuse(rule, "Correct these rows, or check the delimiter and the quoting")

    def _plain(self, path: Path, shown: str) -> Iterator[Row]:
        for number, line in text_lines(path, self.encoding, shown):
            yield number, line.split(self.delimiter) if line else []

    def _quoted(self, path: Path, shown: str) -> Iterator[Row]:
        csv.field_size_limit(sys.maxsize)  # the default, 128 KiB, is less than a long document
        start = 1
        with open_lines(path, self.encoding, shown, newline="") as lines:
            parser = csv.reader(lines, delimiter=self.delimiter, strict=True)
            try:
                for row in parser:
                    yield start, row if row != [""] else []
                    start = parser.line_num + 1
            except csv.Error as error:
                raise InputError(f"{shown}, line {start}: {error}. Close the quotes, or set quoting=false") from None


def _note_widths(rows: Iterable[Row], allowed: range, faults: Faults) -> None:
    for line, cells in rows:
        if len(cells) not in allowed:
            faults.add(line, f"{len(cells)} cells")
