"""The delimiter and the quoting of a user's table, inferred from its first lines."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clsnorm.data.formats.delimited import Delimited, Row
from clsnorm.data.formats.table_header import is_blank
from clsnorm.data.formats.text_lines import line_end

PREFERRED = {".csv": ",;\t|", ".tsv": "\t;|,", ".txt": "\t;|,"}
SOUND = 0.9  # share of rows that must have the same number of cells; half of it for the extension's usual delimiter
ABOVE = 20  # lines above the rows, such as titles, that may have other numbers of cells; a quarter of the rows at most
ENCLOSED = re.compile(r'"[^"]*"')  # a cell in quotes
DOUBLED = re.compile(r'"(?:[^"]*"")+[^"]*"')  # that contains doubled ones
ESCAPED = re.compile(r'"(?:[^"]*\\")+[^"]*"')  # or such with a backslash before them
BROKEN = re.compile(r'"[^"]*\r[^"]*"')  # or a line end of old Macs, which is why a writer puts quotes around it
UNCLOSED = "unexpected end"  # of the file, in messages of `csv`
UNEVEN = "rows have different numbers of cells if quotes enclose cells, and the same number if they do not"
MOST_ENCLOSED = {".csv": 0.5}  # share of a column's cells in quotes from which quotes must be understood


@dataclass(frozen=True, kw_only=True)
class Guess:
    """The rows that a delimiter gives, with or without quoting, whichever fits better.

    Args:
        reader: Reads the rows; its ``header`` is False.
        rows: The rows that are not empty.
        fault: Why it is not sure whether quotes enclose cells; empty: it is.
    """

    reader: Delimited
    rows: list[Row]
    fault: str = ""

    @property
    def shares(self) -> tuple[float, float]:
        """The share of the rows with the most frequent number of cells, without lines above them and with these.

        0 if that number is 1.
        """
        width = _width(self.rows)
        body = _body(self.rows)
        share = [sum(len(cells) == width for _, cells in rows) / len(rows) if rows else 0 for rows in (body, self.rows)]
        return (round(share[0], 2), round(share[1], 2)) if width > 1 else (0.0, 0.0)


def guess_cells(
    text: str, kind: str, base: Delimited, *, whole: bool, marks: str, quoting: bool | None, escape: bool | None
) -> Guess:
    """Returns the best guess for the first lines of a table.

    The delimiter is the one with which most rows have the same number of cells, at least two. In CSV, quotes enclose
    cells, unless they cannot. In other files they do not, unless only quoting gives the same number, enclosed
    cells contain doubled or escaped quotes or a carriage return, or all cells of a column are enclosed. A backslash
    escapes quotes, and spaces after delimiters do not count, if only then quotes enclose cells.

    It is a fault if the quotes of a cell are not closed, but those of other cells are, or, in CSV, if quotes can
    enclose cells, but only without quoting all rows have the same number of cells.

    Args:
        text: The first lines.
        kind: The file's extension: ``.csv``, ``.tsv`` or ``.txt``.
        base: A reader with all other settings.
        whole: Whether these are all lines of the file.
        marks: The possible delimiters, the usual one first.
        quoting: Whether quotes enclose cells, or None.
        escape: Whether a backslash escapes quotes, or None.
    """
    guesses = [
        _guess(text, kind, dataclasses.replace(base, delimiter=mark), whole=whole, quoting=quoting, escape=escape)
        for mark in marks
    ]
    # Of equally good ones, the usual one.
    return max(guesses, key=lambda guess: (guess.shares, -_unparsed(guess.rows)))


def _guess(text: str, kind: str, base: Delimited, *, whole: bool, quoting: bool | None, escape: bool | None) -> Guess:
    plain = Guess(reader=base, rows=rows_of(base, text, whole=whole)[0])
    if quoting is False:
        return plain
    quoted = _quoted(text, base, whole=whole, escape=escape)
    if quoting or _means_quotes(plain.rows, quoted.rows, kind):
        return quoted
    return dataclasses.replace(plain, fault=_fault(text, plain, quoted, kind))


def _fault(text: str, plain: Guess, quoted: Guess, kind: str) -> str:
    """Returns why quotes may enclose cells, although the rows are better without quoting; empty: they do not."""
    if quoted.rows:
        spans = any(cell[:1] == '"' and not ENCLOSED.fullmatch(cell) for _, cells in plain.rows for cell in cells)
        return UNEVEN if kind == ".csv" and spans and not _is_even(quoted.rows) else ""
    most = _has_enclosed(plain.rows, MOST_ENCLOSED.get(kind, SOUND))
    cut = UNCLOSED in quoted.fault and (
        _needs_quotes(plain.rows) or (kind == ".csv" and _has_cell_in_quotes(text, plain))
    )
    return quoted.fault if most or cut else ""


def _has_cell_in_quotes(text: str, guess: Guess) -> bool:
    """Is there a cell in quotes, which may contain delimiters and line ends?"""
    delimiter = re.escape(guess.reader.delimiter)
    return re.search(rf'(?:^|[{delimiter}\r\n])"(?:[^"]|"")*"(?:[{delimiter}\r\n]|$)', text) is not None


def _quoted(text: str, base: Delimited, *, whole: bool, escape: bool | None) -> Guess:
    """Returns the rows with quoting; no rows if quotes do not enclose cells or are not closed."""
    delimiter = re.escape(base.delimiter)
    spaced = (False, True) if re.search(rf'{delimiter} +"', text) else (False,)
    escaped = (False, True) if '\\"' in text else (False,)  # before a delimiter, it may be the end of a text
    guesses = []
    for escapes in escaped if escape is None else (escape,):
        for skip in spaced:
            reader = dataclasses.replace(base, quoting=True, escape=escapes, skip_spaces=skip)
            rows, fault = rows_of(reader, text, whole=whole)
            guesses.append(Guess(reader=reader, rows=rows, fault=fault))
    # Of equally good ones, the plainest; of impossible ones, one that is possible but for its end.
    return max(guesses, key=lambda guess: (guess.shares[1], -_unparsed(guess.rows), UNCLOSED in guess.fault))


def rows_of(reader: Delimited, text: str, *, whole: bool) -> tuple[list[Row], str]:
    """Returns the rows of the first lines that are not empty; none if they cannot be read, and the reason."""
    rows: list[Row] = []
    newline = "" if reader.quoting else line_end(text)
    try:
        rows.extend(row for row in reader.parse(io.StringIO(text, newline=newline)) if not is_blank(row[1]))
    except csv.Error as error:
        cut = not whole and UNCLOSED in str(error) and rows and rows[-1][0] > SOUND * text.count("\n")
        return (rows, "") if cut else ([], str(error))  # the last row of a beginning may be half a row
    return rows, ""


def _unparsed(rows: Sequence[Row]) -> int:
    """Returns how many cells still begin with a quote."""
    return sum(cell.lstrip(" ").startswith('"') for _, cells in rows for cell in cells)


def _means_quotes(plain: Sequence[Row], quoted: Sequence[Row], kind: str) -> bool:
    """Do quotes enclose cells? Compares the rows that are read without quoting and with it."""
    if not quoted:
        return False
    even, even_quoted = _is_even(plain), _is_even(quoted)
    if even != even_quoted:  # only one of them fits
        return even_quoted
    if even and kind == ".csv" and len(quoted) > 1:
        return True  # even if there are fewer rows with quoting: a cell may contain a line break
    if even and len(plain) != len(quoted):
        return False
    if kind == ".csv" or _has_enclosed(plain, 1.0):
        return True
    return _needs_quotes(plain)


def _needs_quotes(rows: Sequence[Row]) -> bool:
    """Does a cell in quotes contain what a writer puts into quotes: quotes, doubled or escaped, or a line end?"""
    kinds = (DOUBLED, ESCAPED, BROKEN)
    return any(kind.fullmatch(cell) for _, cells in rows for cell in cells if cell[:1] == '"' for kind in kinds)


def _has_enclosed(rows: Sequence[Row], share: float) -> bool:
    """Is there a column with at least this share of its cells in quotes?"""
    return any(
        len(cells) > 1 and sum(cell[:1] == cell[-1:] == '"' and len(cell) > 1 for cell in cells) >= share * len(cells)
        for cells in _columns(rows)
    )


def _columns(rows: Sequence[Row]) -> Iterator[list[str]]:
    """Yields the cells of each column that are not empty."""
    width = _width(rows)
    usual = [cells for _, cells in rows if len(cells) == width]
    for at in range(width):
        yield [row[at] for row in usual if row[at]]


def _width(rows: Sequence[Row]) -> int:
    """Returns the most frequent number of cells."""
    return Counter(len(cells) for _, cells in rows).most_common(1)[0][0] if rows else 0


def _body(rows: Sequence[Row]) -> Sequence[Row]:
    """Returns the rows without lines at the start that have other numbers of cells."""
    width = _width(rows)
    most = min(ABOVE, len(rows) // 4)
    start = next((at for at, (_, cells) in enumerate(rows[: most + 1]) if len(cells) == width), 0)
    return rows[start:]


def _is_even(rows: Sequence[Row]) -> bool:
    """Do all rows have the same number of cells?"""
    return len({len(cells) for _, cells in _body(rows)}) == 1
