"""Infers a file's format from its beginning: encoding, delimiter, quoting, header, columns."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from clsnorm.data.formats.delimited import Delimited
from clsnorm.data.formats.json_lines import JsonLines
from clsnorm.data.formats.parquet import ParquetFile, open_parquet, plain_cells
from clsnorm.data.formats.reader import Column, Reader
from clsnorm.data.formats.text_lines import knows_encoding, open_bytes, refuse_empty
from clsnorm.data.own_files.column_roles import is_known
from clsnorm.data.rows.texts import is_number
from clsnorm.errors import InputError

PREFIX = 4 << 20  # bytes of each file, for the encoding
LINES = 1 << 19  # characters, for everything else
SAMPLE = 1000  # rows, for the header and the columns
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
PREFERRED = {".csv": ",;\t|", ".tsv": "\t;|,", ".txt": "\t;|,"}
SOUND = 0.9  # share of rows that must have the same number of cells; half of it for the extension's usual delimiter
ENCLOSED = re.compile(r'"(?:[^"]*"")+[^"]*"')  # a cell in quotes that contains doubled ones


@dataclass(frozen=True)
class Preview:
    """The reader that fits a file, and the beginning of the file.

    Attributes:
        reader: Fits the file.
        columns: Each column with some of its cells.
    """

    reader: Reader
    columns: dict[Column, list[Any]]


def prefix(path: Path, shown: str) -> bytes:
    """Returns the first bytes of a file, decompressed; raises InputError if the file is empty."""
    with open_bytes(path, shown) as stream:
        beginning = stream.read(PREFIX)
    if not beginning.strip():
        refuse_empty(shown)
    return beginning


def infer_encoding(files: Iterable[Path]) -> str:
    """Returns the encoding that fits the beginnings of all ``files``.

    That of the byte-order mark, else UTF-8 if it fits, else Windows-1252, else Latin-1, which fits anything.

    Raises:
        InputError: If files have different encodings, or if a file contains zero bytes.
    """
    found: dict[str, Path] = {}
    for path in files:
        found.setdefault(_encoding(prefix(path, str(path)), str(path)), path)
    found.pop("ascii", None)  # fits all others
    if found.keys() == {"cp1252", "latin-1"}:
        return "latin-1"
    if len(found) > 1:
        listed = ", ".join(f"{path} is {encoding}" for encoding, path in found.items())
        raise InputError(f"Expected files of one encoding, but {listed}. Convert them, or set data.encoding")
    return next(iter(found), "utf-8")


def _encoding(beginning: bytes, shown: str) -> str:
    for mark, encoding in MARKS.items():
        if beginning.startswith(mark):
            return encoding
    if b"\0" in beginning:
        raise InputError(f"Expected text in {shown}, but it has zero bytes. Set data.encoding, perhaps to utf-16-le")
    for encoding in ("ascii", "utf-8", "cp1252"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(beginning)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def preview_cells(
    path: Path, kind: str, *, encoding: str, delimiter: str | None, quoting: bool | None, header: bool | None
) -> Preview:
    """Infers how a delimited file is read; arguments that are not None are used as they are.

    The delimiter is the one with which most rows have the same number of cells, at least two. In CSV, quotes enclose
    cells, unless only without quoting all rows have the same number of cells. In other files they do not, unless only
    quoting gives the same number, or enclosed cells contain doubled quotes. The first line is a header if it has a
    usual column name, or if a column of numbers, or of few repeated values, starts with something else.

    Args:
        path: The file.
        kind: Its extension: ``.csv``, ``.tsv`` or ``.txt``.
        encoding: Its encoding.
        delimiter: One character, or None.
        quoting: Whether quotes enclose cells, or None.
        header: Whether the first line names the columns, or None.

    Raises:
        InputError: If no delimiter gives rows with the same number of cells.
    """
    best = _best_guess(path, kind, encoding, delimiter, quoting)
    if header is None:
        header = _has_header(best.rows)
    reader = Delimited(delimiter=best.delimiter, quoting=best.quoting, header=header, encoding=encoding)
    rows = best.rows[: SAMPLE + 1]
    names: Sequence[Column] = rows[0] if header else range(len(rows[0]))
    body = rows[1:] if header else rows
    return Preview(reader, {name: [row[at] for row in body] for at, name in enumerate(names)})


def _best_guess(path: Path, kind: str, encoding: str, delimiter: str | None, quoting: bool | None) -> _Guess:
    text, whole = _beginning(path, encoding)
    marks = PREFERRED[kind] if delimiter is None else delimiter
    guesses = [_Guess(text, mark, whole, kind, quoting) for mark in marks]
    best = max(guesses, key=lambda guess: round(guess.share, 2))  # of equally good ones, the usual one
    if delimiter is None and best.share < (SOUND / 2 if best is guesses[0] else SOUND):
        raise InputError(
            f"Expected rows with the same number of cells, two or more, in {path}, but none of the delimiters "
            f"{', '.join(map(repr, marks))} gives that. Set data.delimiter and data.quoting"
        )
    return best


def preview_json(path: Path, *, encoding: str) -> Preview:
    """Returns a reader of JSON Lines and the first rows; lines without an object are left to the reader to refuse."""
    text, _ = _beginning(path, encoding)
    objects = []
    for line in text.split("\n")[:SAMPLE]:
        with contextlib.suppress(ValueError, RecursionError):
            objects.append(json.loads(line))
    rows = [row for row in objects if isinstance(row, dict)]
    names = dict.fromkeys(name for row in rows for name in row)
    return Preview(JsonLines(encoding=encoding), {name: [row.get(name) for row in rows] for name in names})


def preview_parquet(path: Path) -> Preview:
    """Returns a reader of Parquet and the first rows; raises InputError for a broken file."""
    columns: dict[Column, list[Any]] = {}
    with open_parquet(path, str(path)) as file:
        for batch in islice(file.iter_batches(SAMPLE), 1):
            columns = {name: plain_cells(cells) for name, cells in zip(batch.schema.names, batch.columns, strict=True)}
    return Preview(ParquetFile(), columns)


def _beginning(path: Path, encoding: str) -> tuple[str, bool]:
    """Returns the first complete lines of a file, and whether they are the whole file."""
    beginning = prefix(path, str(path))
    if not knows_encoding(encoding):
        raise InputError(f"Expected a data.encoding that Python knows, but got {encoding!r}")
    text = codecs.getincrementaldecoder(encoding)("replace").decode(beginning).removeprefix("\ufeff")
    whole = len(beginning) < PREFIX and len(text) <= LINES
    return (text if whole else text[: text.rfind("\n", 0, LINES) + 1]), whole


class _Guess:
    """The rows that a delimiter gives, with or without quoting, whichever fits better.

    Attributes:
        rows: The rows with the most frequent number of cells.
        share: Their share of all rows; 0 if that number is 1.
    """

    def __init__(self, text: str, delimiter: str, whole: bool, kind: str, quoting: bool | None) -> None:
        self.delimiter = delimiter
        plain, quoted = _plain(text, delimiter), _quoted(text, delimiter, whole=whole)
        self.quoting = _means_quotes(plain, quoted, kind) if quoting is None else quoting
        rows = quoted if self.quoting else plain
        width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
        self.rows = [row for row in rows if len(row) == width]
        self.share = len(self.rows) / len(rows) if width > 1 else 0.0


def _plain(text: str, delimiter: str) -> list[list[str]]:
    lines = text.removesuffix("\n").split("\n")
    return [line.removesuffix("\r").split(delimiter) for line in lines if line.strip()]


def _quoted(text: str, delimiter: str, *, whole: bool) -> list[list[str]]:
    """Returns the rows as `csv` reads them; none if quotes do not enclose cells or are not closed."""
    csv.field_size_limit(sys.maxsize)
    parser = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, before = [], 0
    try:
        for row in parser:
            rows += [row] if row else []
            before = parser.line_num
    except csv.Error:
        cut = not whole and parser.line_num == text.count("\n") and before > SOUND * parser.line_num
        return rows if cut else []  # the last row of a beginning may be half a row
    return rows


def _means_quotes(plain: list[list[str]], quoted: list[list[str]], kind: str) -> bool:
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
    return kind == ".csv" or any(ENCLOSED.fullmatch(cell) for row in plain for cell in row)


def _is_even(rows: list[list[str]]) -> bool:
    """Do all rows have the same number of cells?"""
    return len(set(map(len, rows))) == 1


def _has_header(rows: list[list[str]]) -> bool:
    first, below = rows[0], rows[1 : SAMPLE + 1]
    return any(_stands_out(name, [row[at] for row in below]) for at, name in enumerate(first))


def _stands_out(first: str, cells: Sequence[str]) -> bool:
    """Is the first cell of a column unlike the cells below it?"""
    if is_known(first):
        return first not in cells
    if not cells:
        return False
    if all(map(is_number, cells)):
        return not is_number(first)
    return len(set(cells)) <= len(cells) // 4 and first not in cells
