"""Infers how a user's file is read from its beginning."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from clsnorm.data.formats.delimited import QUOTES, Delimited, Row
from clsnorm.data.formats.faults import Faults
from clsnorm.data.formats.json_lines import CURE, RULE, JsonLines, parse_objects, refuse_other_json
from clsnorm.data.formats.parquet import ParquetFile, open_parquet, plain_cells
from clsnorm.data.formats.reader import Column, Reader
from clsnorm.data.formats.table_header import names_in
from clsnorm.data.formats.text_lines import line_end, refuse_empty
from clsnorm.data.own_files.cell_layout import PREFERRED, SOUND, UNEVEN, Guess, guess_cells
from clsnorm.data.own_files.file_start import first_lines
from clsnorm.data.own_files.header_search import SAMPLE, Search
from clsnorm.errors import InputError

SEPARATOR = re.compile(r'"?sep=([^"\r\n])"?[,;\t|]*(?:\r?\n|\r)', re.IGNORECASE)  # a line that Excel understands


@dataclass(frozen=True)
class Preview:
    """The reader that fits a file, and the beginning of the file.

    Attributes:
        reader: Fits the file.
        columns: Each column with some of its cells: by name, or by number if it has none or shares it with another.
    """

    reader: Reader
    columns: dict[Column, list[Any]]


@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """How a table of cells is read, as far as the user has set it; None is inferred.

    Args:
        delimiter: One character.
        quoting: Whether quotes enclose cells.
        escape: Whether a backslash escapes quotes.
        header: Whether a line names the columns.
        skip_lines: Lines above the header or the first row.
        comment: The start of lines to skip; None: there are none.
        names: Columns that the header must have; then there is one.
        labels: Names of classes, which are no usual names of columns; empty: unknown.
        narrow: Whether a table may have one column only.
    """

    delimiter: str | None = None
    quoting: bool | None = None
    escape: bool | None = None
    header: bool | None = None
    skip_lines: int | None = None
    comment: str | None = None
    names: Sequence[str] = ()
    labels: Sequence[Any] = ()
    narrow: bool = False


def preview_cells(path: Path, kind: str, *, encoding: str, given: CellOptions) -> Preview:
    """Infers how a delimited file is read; see `guess_cells` and `Search`.

    Args:
        path: The file.
        kind: Its extension: ``.csv``, ``.tsv`` or ``.txt``.
        encoding: Its encoding.
        given: The user's options.

    Raises:
        InputError: If no delimiter gives rows with the same number of cells, or if it is not sure where the header or
            the first row is.
    """
    text, whole = first_lines(path, encoding)
    _refuse_json(text, path)
    skipped, delimiter = separator_line(text, given)
    base = Delimited(header=False, encoding=encoding, skip_lines=skipped, comment=given.comment)
    marks = delimiter or PREFERRED[kind]
    best = guess_cells(text, kind, base, whole=whole, marks=marks, quoting=given.quoting, escape=given.escape)
    _require_sound(best, path, marks, narrow=given.narrow)
    start = Search(
        rows=best.rows,
        shown=str(path),
        header=given.header,
        names=given.names,
        labels=given.labels,
        skip_lines=skipped,
        fixed=given.skip_lines is not None,
    ).start()
    reader = dataclasses.replace(best.reader, header=start.header, skip_lines=start.skip_lines)
    return Preview(reader, _columns([row for row in best.rows if row[0] > start.skip_lines], header=start.header))


def _refuse_json(text: str, path: Path) -> None:
    """Raises InputError if a table's first line is JSON."""
    first = text.lstrip().partition("\n")[0].strip()
    lines = parse_objects([(1, first)], Faults("", "line"))
    if lines or first in ("[", "{") or first.startswith(('[{"', '{"')):
        raise InputError(
            f"Expected cells in {path}, but it begins as JSON does. Write an object per line and name it .jsonl"
        )


def separator_line(text: str, given: CellOptions) -> tuple[int, str | None]:
    """Returns how many lines to skip, and the delimiter, if given or named in a line ``sep=;``."""
    start = given.skip_lines or 0
    for _ in range(start):
        text = text.partition(line_end(text))[2]
    found = SEPARATOR.match(text)
    if found is None:
        return start, given.delimiter
    return start + (given.skip_lines is None), given.delimiter or found[1]


def _require_sound(best: Guess, path: Path, marks: str, *, narrow: bool) -> None:
    if best.fault and best.reader.quoting:
        raise InputError(f"{path}, {best.fault}. {QUOTES}")
    if not best.rows:
        refuse_empty(str(path))
    if best.fault == UNEVEN:
        raise InputError(f"Cannot tell whether quotes enclose cells in {path}: {UNEVEN}. Set data.quoting")
    if best.fault:
        raise InputError(
            f"Expected closed quotes in {path}, where other cells are in quotes, but {best.fault}. Correct this line, "
            "or set data.quoting=false to read quotes as ordinary characters"
        )
    if narrow and all(len(cells) == 1 for _, cells in best.rows):
        return
    if len(marks) > 1 and best.shares[0] < (SOUND / 2 if best.reader.delimiter == marks[0] else SOUND):
        raise InputError(
            f"Expected rows with the same number of cells, two or more, in {path}, but none of the delimiters "
            f"{', '.join(map(repr, marks))} gives that. Set data.delimiter and data.quoting"
        )


def _columns(rows: Sequence[Row], *, header: bool) -> dict[Column, list[Any]]:
    """Returns the columns of rows, the first of which may be the header."""
    if not rows:
        return {}
    first, body = rows[0][1], [cells for _, cells in (rows[1:] if header else rows)][:SAMPLE]
    names = names_in(first) if header else [""] * len(first)
    keys: list[Column] = [name if name and names.count(name) == 1 else at for at, name in enumerate(names)]
    return {key: [cells[at] for cells in body if len(cells) >= len(names)] for at, key in enumerate(keys)}


def preview_json(path: Path, *, encoding: str) -> Preview:
    """Returns a reader of JSON Lines and the first rows.

    Raises:
        InputError: If none of the first lines holds an object, or if the file is one array or one object.
    """
    text, _ = first_lines(path, encoding)
    faults = Faults(str(path), "line")
    lines = [(number, line) for number, line in enumerate(text.split(line_end(text))[:SAMPLE], 1) if line.strip()]
    objects = parse_objects(lines, faults)
    refuse_other_json(lines, objects, [], str(path))
    if not objects:
        faults.refuse(RULE, CURE)
    rows = [row for _, row, _ in objects]
    names = dict.fromkeys(name for row in rows for name in row)
    return Preview(JsonLines(encoding=encoding), {name: [row.get(name) for row in rows] for name in names})


def preview_parquet(path: Path) -> Preview:
    """Returns a reader of Parquet and the first rows; raises InputError for a broken file."""
    columns: dict[Column, list[Any]] = {}
    with open_parquet(path, str(path)) as file:
        for batch in islice(file.iter_batches(SAMPLE), 1):
            columns = {name: plain_cells(cells) for name, cells in zip(batch.schema.names, batch.columns, strict=True)}
    return Preview(ParquetFile(), columns)
