"""Checks that a user's other files begin like the first one, from which the layout was inferred."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from clsnorm.data.formats.delimited import Delimited, Row
from clsnorm.data.formats.reader import Column
from clsnorm.data.formats.table_header import cleaned
from clsnorm.data.own_files.cell_layout import rows_of
from clsnorm.data.own_files.file_start import first_lines
from clsnorm.data.own_files.header_odds import SURE, header_odds
from clsnorm.data.own_files.header_search import SAMPLE, Search
from clsnorm.data.own_files.inference import CellOptions, separator_line
from clsnorm.errors import InputError


def require_same_start(
    files: Iterable[Path], first: Path, reader: Delimited, columns: Iterable[Column], given: CellOptions
) -> None:
    """Raises InputError unless ``files`` have a header if ``first`` has one, and as many lines above.

    Columns that are used by their number must have the same name in all headers. Other differences are left to the
    reader, which refuses rows and columns that are not as it expects them.

    Args:
        files: The other files.
        first: The file from which ``reader`` was inferred.
        reader: How all of them are read.
        columns: The columns that are used.
        given: The user's options.
    """
    numbers = [column for column in columns if isinstance(column, int)]
    given = dataclasses.replace(given, names=[column for column in columns if isinstance(column, str)])
    expected = _start(first, reader, numbers, given)
    for path in files:
        found = _start(path, reader, numbers, given)
        if found is not None and found != expected:
            raise InputError(
                f"Expected all files to begin the same way, but {first} has {expected}, and {path} has {found}. Write "
                "them in one layout"
            )


def _is_row(cells: list[str], rows: Sequence[Row]) -> bool:
    return header_odds(cells, [other for _, other in rows[:SAMPLE] if len(other) == len(cells)]) <= -SURE


def _start(path: Path, reader: Delimited, numbers: Iterable[int], given: CellOptions) -> str | None:
    """Returns how a file begins, in words; None if it has no rows for this reader."""
    text, whole = first_lines(path, reader.encoding)
    skipped, _ = separator_line(text, given)
    everything, _ = rows_of(dataclasses.replace(reader, header=False, skip_lines=0), text, whole=whole)
    rows = [row for row in everything if row[0] > skipped]
    if not rows:
        return None
    above = everything[: len(everything) - len(rows)]
    if given.skip_lines and any(len(cells) == len(rows[0][1]) and _is_row(cells, rows) for _, cells in above):
        return f"a row in the {skipped} lines that data.skip_lines skips"
    start = Search(
        rows=rows,
        shown=str(path),
        header=True if reader.header and not given.names else given.header,
        names=given.names if reader.header else (),
        skip_lines=skipped,
        fixed=given.skip_lines is not None,
        lenient=True,
    ).start()
    if not start.header:
        return f"no header and {start.skip_lines} lines above the rows"
    header = next((cells for line, cells in rows if line > start.skip_lines), [])
    names = [f", column {at} {cleaned(header[at])!r}" for at in numbers if at < len(header)]
    return f"a header, {start.skip_lines} lines above it{''.join(names)}"
