"""Rows of cells with a delimiter between them: CSV, TSV and their like."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from clsnorm.data.formats.faults import Faults, require_columns, require_rows
from clsnorm.data.formats.readers import CHUNK, Column, Columns, LineReader
from clsnorm.data.formats.text_lines import open_lines, refuse_empty, text_lines
from clsnorm.errors import InputError, require_switch

Row = tuple[int, list[str]]  # the line it starts on, and its cells


@dataclass(frozen=True, kw_only=True)
class Delimited(LineReader):
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
        ragged: True: rows may have any number of cells, as long as those that are read are among them.

    Raises:
        InputError: If ``delimiter`` is not one character, or one that ends lines or cells already, or if a switch is
            neither true nor false.
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
        if (
            not isinstance(self.delimiter, str)
            or len(self.delimiter) != 1
            or self.delimiter in "\r\n"
            or (self.quoting and self.delimiter == '"')
        ):
            raise InputError(
                f"Expected argument `delimiter` to be one character that ends no line or quotation, but got "
                f"{self.delimiter!r}. Take a comma, a semicolon or \\t"
            )

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Columns]:
        rows = self._quoted(path, shown) if self.quoting else self._plain(path, shown)
        first = next((row for row in rows if row[1]), None)
        if first is None:
            refuse_empty(shown)
            return
        names: list[Column] = list(first[1] if self.header else range(len(first[1])))
        require_columns(columns, names, shown)
        body = rows if self.header else chain([first], rows)
        yield from self._chunks(body, columns, names, shown)

    def _chunks(
        self, body: Iterable[Row], columns: Sequence[Column], names: Sequence[Column], shown: str
    ) -> Iterator[Columns]:
        places, found = [names.index(column) for column in columns], 0
        fewest, most = (max(places) + 1, sys.maxsize) if self.ragged else (len(names), len(names))
        faults, rows = Faults(shown, "line"), iter(body)
        while part := list(islice(rows, CHUNK)):
            filled = [row for row in part if row[1]]
            good = [row for row in filled if fewest <= len(row[1]) <= most]
            found += len(filled)
            drops = {"empty line": len(part) - len(filled)}
            if self.drop_malformed:
                drops["malformed"] = len(filled) - len(good)
            elif len(good) < len(filled):
                for line, cells in filled:
                    if not fewest <= len(cells) <= most:
                        faults.add(line, f"{len(cells)} cells")
            values = {column: [row[at] for _, row in good] for column, at in zip(columns, places, strict=True)}
            yield Columns(values, [line for line, _ in good], shown, drops={k: v for k, v in drops.items() if v})
        require_rows(found, shown)
        expected = f"{fewest} cells or more" if self.ragged else f"{fewest} cells"
        faults.refuse(f"Expected {expected} a row", "Mend these rows, or check the delimiter and the quoting")

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
                raise InputError(
                    f"{shown}, line {start}: {error}. Close the quotes, or read it without quoting (quoting=false)"
                ) from None
