"""Rows of cells separated by a delimiter: CSV, TSV and similar files."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from clsnorm.data.formats.faults import Faults, require_rows
from clsnorm.data.formats.reader import Column, FileReader, Table, empty_lines, in_chunks
from clsnorm.data.formats.table_header import is_blank, names_in, places_of
from clsnorm.data.formats.text_lines import open_lines, refuse_empty, without_end
from clsnorm.errors import InputError, require_switch, require_whole

CURE = "Correct these rows, or check the delimiter, the quoting and skip_lines"
REPEATED = "Delete these lines; or, if they are rows, set header=false, skip_lines, and columns by number"
QUOTES = "Close the quotes, or set quoting=false, or escape=true if a backslash precedes quotes within a cell"

Row = tuple[int, list[str]]  # the line it starts on, and its cells


@dataclass(frozen=True, kw_only=True)
class Delimited(FileReader):
    r"""Rows of cells separated by a delimiter.

    A byte-order mark at the start is skipped. Lines end only at ``\n`` or ``\r\n``, because text may contain other
    characters that Python treats as line ends; at ``\r`` if the file has no ``\n``. Empty lines are left out and
    counted. Empty cells at the end of a row or of the header do not count.

    Args:
        delimiter: One character.
        quoting: False: a quote is an ordinary character, as in the GLUE files. True: RFC 4180, where a quoted cell may
            contain delimiters and line ends.
        header: Whether the first line names the columns. If not, columns are numbers from 0; numbers are understood in
            both cases.
        encoding: Encoding of the file.
        drop_malformed: True: rows with too few or too many cells are left out and counted instead of refused.
        ragged: True: rows may have any number of cells, as long as the requested columns are among them.
        skip_lines: Lines before the header, or before the first row.
        comment: Lines that begin with this are left out, except within quotes; None: none.
        escape: With ``quoting``, a backslash before a quote, a delimiter or a backslash means that character.
        skip_spaces: With ``quoting``, spaces after a delimiter are left out.

    Raises:
        InputError: If ``delimiter`` is not one character, or is one that ends lines or cells, or if another argument is
            out of range.
    """

    delimiter: str = "\t"
    quoting: bool = False
    header: bool = True
    encoding: str = "utf-8"
    drop_malformed: bool = False
    ragged: bool = False
    skip_lines: int = 0
    comment: str | None = None
    escape: bool = False
    skip_spaces: bool = False

    def __post_init__(self) -> None:
        for name in ("quoting", "header", "drop_malformed", "ragged", "escape", "skip_spaces"):
            require_switch(name, getattr(self, name))
        require_whole("skip_lines", self.skip_lines, least=0)
        taken = '\r\n"' if self.quoting else "\r\n"
        if not isinstance(self.delimiter, str) or len(self.delimiter) != 1 or self.delimiter in taken:
            raise InputError(
                f"Expected argument `delimiter` to be one character that ends neither lines nor quotations, but got "
                f"{self.delimiter!r}. Use a comma, a semicolon or \\t"
            )
        if self.comment is not None and not (isinstance(self.comment, str) and self.comment.strip()):
            raise InputError(f"Expected argument `comment` to be null or the start of a line, but got {self.comment!r}")

    @property
    def newline(self) -> str | None:
        """What ends a line, as for `open_lines`."""
        return "" if self.quoting else None

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Table]:
        rows = self._rows(path, shown)
        first = next((row for row in rows if not is_blank(row[1])), None)
        if first is None:
            refuse_empty(shown)
            return
        width = len(first[1])
        places = places_of(columns, first[1] if self.header else width, shown)
        least = max([len(names_in(first[1])), *(at + 1 for at in places.values())]) if self.header else width
        body = rows if self.header else chain([first], rows)
        yield from self._tables(body, places, range(least, width + 1), first[1] if self.header else [], shown)

    def _tables(
        self, rows: Iterable[Row], places: dict[Column, int], widths: range, header: list[str], shown: str
    ) -> Iterator[Table]:
        """Yields the cells at ``places`` of the rows whose width fits, then raises for all other rows."""
        needed = max(places.values()) + 1
        faults, again, found = Faults(shown, "line"), Faults(shown, "line"), 0
        for part in in_chunks(rows):
            filled = [row for row in part if not is_blank(row[1])]
            good = [row for row in filled if self._fits(row[1], needed, widths)]
            found += len(filled)
            drops = empty_lines(len(part) - len(filled))
            if self.drop_malformed and len(good) < len(filled):
                drops["malformed"] = len(filled) - len(good)
            elif len(good) < len(filled):
                _note(((line, f"{len(cells)} cells") for line, cells in _without(filled, good)), faults)
            _note(((line, "the header") for line, cells in good if _same(cells, header)), again)
            cells = {column: [row[at] for _, row in good] for column, at in places.items()}
            yield Table(cells, [line for line, _ in good], shown, drops=drops)
        require_rows(found, shown)
        rule = f"{needed} cells or more" if self.ragged else f"{widths[-1]} cells"
        faults.refuse(f"Expected {rule} per row", CURE)
        again.refuse("Expected one header", REPEATED)

    def _fits(self, cells: list[str], needed: int, widths: range) -> bool:
        """Does a row have the right number of cells, not counting empty ones at its end?"""
        if self.ragged:
            return len(cells) >= needed
        if len(cells) == widths[-1] or self.drop_malformed:
            return len(cells) == widths[-1]
        return len(cells) in widths or (len(cells) > widths[-1] and not any(cells[widths[-1] :]))

    def _rows(self, path: Path, shown: str) -> Iterator[Row]:
        try:
            with open_lines(path, self.encoding, shown, newline=self.newline) as lines:
                yield from self.parse(lines)
        except csv.Error as error:
            raise InputError(f"{shown}, {error}. {QUOTES}") from None

    def parse(self, lines: Iterable[str]) -> Iterator[Row]:
        """Yields the rows of a file's lines, ends included: each its line, and its cells; none in an empty line.

        Raises:
            csv.Error: If quotes are not closed, or closed within a cell.
        """
        numbered = islice(enumerate(lines, 1), self.skip_lines, None)
        return self._quoted(numbered) if self.quoting else self._plain(numbered)

    def _plain(self, numbered: Iterable[tuple[int, str]]) -> Iterator[Row]:
        for number, line in numbered:
            if self.comment is None or not line.startswith(self.comment):
                text = without_end(line)
                yield number, text.split(self.delimiter) if text else []

    def _quoted(self, numbered: Iterable[tuple[int, str]]) -> Iterator[Row]:
        csv.field_size_limit(sys.maxsize)  # the default, 128 KiB, is less than a long document
        start, within = 0, False  # where the row starts, and whether it has started

        def lines() -> Iterator[str]:
            nonlocal start, within
            for number, line in numbered:
                if not within and self.comment is not None and line.startswith(self.comment):
                    continue
                if not within:
                    start, within = number, True
                yield self._escaped(line) if self.escape else line

        try:
            for row in csv.reader(lines(), **self._dialect):
                yield start, row if row != [""] else []
                within = False
        except csv.Error as error:
            raise csv.Error(f"line {start}: {error}") from None

    @property
    def _dialect(self) -> dict[str, Any]:
        escape = "\\" if self.escape else None
        return {
            "delimiter": self.delimiter, "strict": True, "escapechar": escape, "skipinitialspace": self.skip_spaces,
        }  # fmt: skip

    def _escaped(self, line: str) -> str:
        """Returns a line in which each backslash that escapes nothing is escaped itself, since `csv` drops it."""
        return re.sub(
            r"(?s)\\(.?)", lambda found: found[0] if found[1] in {'"', "\\", self.delimiter} else "\\" + found[0], line
        )


def _same(cells: list[str], header: list[str]) -> bool:
    """Does a row repeat the header?"""
    return len(header) > 0 and cells[-1].strip() == header[-1].strip() and names_in(cells) == names_in(header)


def _without(rows: Iterable[Row], good: list[Row]) -> Iterator[Row]:
    """Yields the rows that are not among the good ones, which are in the same order."""
    left = iter(good)
    following = next(left, None)
    for row in rows:
        if row is following:
            following = next(left, None)
        else:
            yield row


def _note(found: Iterable[tuple[int, str]], faults: Faults) -> None:
    for line, fault in found:
        faults.add(line, fault)
