"""How a file is laid out, judged by its beginning: encoding, delimiter, quoting, header, columns."""

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
from clsnorm.data.formats.readers import Column, JsonLines, ParquetFile, Reader, open_parquet
from clsnorm.data.formats.text_lines import knows_encoding, open_bytes, refuse_empty
from clsnorm.data.own_files.column_roles import is_known
from clsnorm.data.rows.texts import is_number
from clsnorm.errors import InputError

PREFIX = 4 << 20  # bytes of each file that tell the encoding
LINES = 1 << 19  # characters that tell the delimiter and the rest
SAMPLE = 1000  # rows that are looked at
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
PREFERRED = {".csv": ",;\t|", ".tsv": "\t;|,", ".txt": "\t;|,"}
SOUND = 0.9  # share of rows that must agree on a number of cells; half of it for the extension's own delimiter
ENCLOSED = re.compile(r'"(?:[^"]*"")+[^"]*"')  # a cell in quotes that holds doubled ones


@dataclass(frozen=True)
class Preview:
    """How a file is read, and what its beginning holds.

    Attributes:
        reader: Fits the file.
        columns: Each column with some of its cells.
    """

    reader: Reader
    columns: dict[Column, list[Any]]


def prefix(path: Path, shown: str) -> bytes:
    """Returns the first bytes of a file, decompressed; raises InputError if it has none."""
    with open_bytes(path, shown) as stream:
        beginning = stream.read(PREFIX)
    if not beginning.strip():
        refuse_empty(shown)
    return beginning


def infer_encoding(files: Iterable[Path]) -> str:
    """Returns the encoding that fits the beginnings of all ``files``.

    A byte-order mark decides; else it is UTF-8 if that fits, else Windows-1252, else Latin-1, which fits anything.

    Raises:
        InputError: If some files are of one encoding and some of another, or if a file holds zero bytes.
    """
    found: dict[str, Path] = {}
    for path in files:
        found.setdefault(_encoding(prefix(path, str(path)), str(path)), path)
    found.pop("ascii", None)  # reads the same in all of them
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
        raise InputError(f"Expected text in {shown}, but it holds zero bytes. Set data.encoding, perhaps to utf-16-le")
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
    """Returns how a file of cells with a delimiter between them is laid out; what is given is kept.

    The delimiter is the one with which most rows have the same number of cells, two at least. In CSV quotes enclose
    cells, unless the rows only agree without; elsewhere they do not, unless the rows only agree with, or enclosed cells
    hold doubled quotes. The first line is a header if a column goes by a usual name, or if a column that holds numbers,
    or a few values again and again, begins with something else.

    Args:
        path: The file.
        kind: Its extension: ``.csv``, ``.tsv`` or ``.txt``.
        encoding: Of the file.
        delimiter: One character, or None.
        quoting: Whether quotes enclose cells, or None.
        header: Whether the first line names the columns, or None.

    Raises:
        InputError: If no delimiter gives rows of one width.
    """
    text, whole = _beginning(path, encoding)
    marks = PREFERRED[kind] if delimiter is None else delimiter
    guesses = [_Guess(text, mark, whole, kind, quoting) for mark in marks]
    best = max(guesses, key=lambda guess: round(guess.share, 2))  # the preferred one, if several are as good
    if delimiter is None and best.share < (SOUND if best is not guesses[0] else SOUND / 2):
        raise InputError(
            f"Expected rows of two or more cells in {path}, each with the same number, but no delimiter among "
            f"{', '.join(map(repr, marks))} gives them. Set data.delimiter and data.quoting"
        )
    if header is None:
        header = _has_header(best.rows)
    reader = Delimited(delimiter=best.delimiter, quoting=best.quoting, header=header, encoding=encoding)
    rows = best.rows[: SAMPLE + 1]
    names: Sequence[Column] = rows[0] if header else range(len(rows[0]))
    body = rows[1:] if header else rows
    return Preview(reader, {name: [row[at] for row in body] for at, name in enumerate(names)})


def preview_json(path: Path, *, encoding: str) -> Preview:
    """Returns the reader of JSON Lines, and what the first lines hold; what is no object is left for it to refuse."""
    text, _ = _beginning(path, encoding)
    objects = []
    for line in text.split("\n")[:SAMPLE]:
        with contextlib.suppress(ValueError, RecursionError):
            objects.append(json.loads(line))
    rows = [row for row in objects if isinstance(row, dict)]
    names = dict.fromkeys(name for row in rows for name in row)
    return Preview(JsonLines(encoding=encoding), {name: [row.get(name) for row in rows] for name in names})


def preview_parquet(path: Path) -> Preview:
    """Returns the reader of Parquet, and what the first rows hold; raises InputError for a broken file."""
    columns: dict[Column, list[Any]] = {}
    with open_parquet(path, str(path)) as file:
        for batch in islice(file.iter_batches(SAMPLE), 1):
            columns = dict(batch.to_pydict())
    return Preview(ParquetFile(), columns)


def _beginning(path: Path, encoding: str) -> tuple[str, bool]:
    """Returns the first whole lines of a file, and whether they are all of it."""
    beginning = prefix(path, str(path))
    if not knows_encoding(encoding):
        raise InputError(f"Expected a data.encoding that Python knows, but got {encoding!r}")
    text = codecs.getincrementaldecoder(encoding)("replace").decode(beginning).removeprefix("\ufeff")
    whole = len(beginning) < PREFIX and len(text) <= LINES
    return (text if whole else text[: text.rfind("\n", 0, LINES) + 1]), whole


class _Guess:
    """Rows as a delimiter cuts them, with quoting or without: whichever fits better.

    Attributes:
        rows: Those of the width that most have.
        share: Of the rows, that they are; 0 if that width is one cell.
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
    """Returns the rows as `csv` reads them; none if quotes do not enclose cells, or run on and on."""
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
    even, even_quoted = len(set(map(len, plain))) == 1, len(set(map(len, quoted))) == 1
    if not quoted or (even and not even_quoted):
        return False
    if even_quoted and (not even or (kind == ".csv" and len(quoted) > 1)):  # a record may hold a line break
        return True
    if even and len(plain) != len(quoted):
        return False
    return kind == ".csv" or any(ENCLOSED.fullmatch(cell) for row in plain for cell in row)


def _has_header(rows: list[list[str]]) -> bool:
    below = list(zip(*rows[1 : SAMPLE + 1], strict=True)) or [()] * len(rows[0])
    return any(_stands_out(name, cells) for name, cells in zip(rows[0], below, strict=True))


def _stands_out(first: str, cells: Sequence[str]) -> bool:
    if is_known(first):
        return first not in cells
    if not cells:
        return False
    if all(map(is_number, cells)):
        return not is_number(first)
    return len(set(cells)) <= len(cells) // 4 and first not in cells
