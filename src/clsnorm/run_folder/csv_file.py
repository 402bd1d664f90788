"""CSV files that grow by a row at a time, such as ``metrics.csv``: the format, and the faults of damaged ones."""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clsnorm.errors import DamagedFileError
from clsnorm.files import write_text
from clsnorm.run_folder.table_digest import Mark, TableDigest

Row = dict[str, str]
CHANGED_ROWS = "its rows {} are not those that were written; scores are not affected"
REPAIR = "Delete that line, or restore the file from a copy"
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


@dataclass
class CsvFile:
    """The content of a file.

    Attributes:
        columns: The heading; empty if there is no complete first line.
        rows: All sound rows, as text, by column.
        places: Of each of these among all rows, from 0.
        faults: One for each damaged row, with its line.
    """

    columns: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read_csv(path: Path, fault_of: Callable[[Row], str], *, first: str) -> CsvFile:
    """Reads a file; a last line without its end, which is being written or was cut, is left out.

    Args:
        path: The file; a missing one is empty.
        fault_of: Returns the fault of a row; empty if there is none.
        first: Name of the first column.

    Raises:
        DamagedFileError: If the first line is not a heading.
    """
    found = CsvFile()
    if not path.exists():
        return found
    text = path.read_bytes().decode("utf-8", errors="replace")
    reader = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            cells = [f"({error})"]
        if cells is None:
            return found
        if not found.columns:
            found.columns = _heading(path, cells, first)
        elif len(cells) != len(found.columns):
            found.faults.append(f"line {line} has {len(cells)} cells instead of {len(found.columns)}")
        elif fault := fault_of(row := dict(zip(found.columns, cells, strict=True))):
            found.faults.append(f"line {line}: {fault}")
        else:
            found.places.append(len(found.rows) + len(found.faults))
            found.rows.append(row)


def _heading(path: Path, cells: list[str], first: str) -> list[str]:
    if cells[:1] != [first] or len(set(cells)) < len(cells) or any("\ufffd" in cell or "\0" in cell for cell in cells):
        raise DamagedFileError.of(path, f"its first line is not a heading that begins with {first!r}")
    return cells


def sound_rows(path: Path, found: CsvFile) -> list[Row]:
    """Returns all rows.

    Raises:
        DamagedFileError: If a row is damaged.
    """
    if found.faults:
        raise DamagedFileError.of(path, found.faults[0], REPAIR)
    return found.rows


def fault_of_step(row: Row) -> str:
    """Returns what is wrong with the cell ``step`` of a row; empty if it is a whole number."""
    step = row["step"]
    return "" if step.isascii() and step.isdigit() else f"step {step[:40]!r} is not a whole number"


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row], digest: TableDigest) -> None:
    """Replaces the file, and begins its digest; a row's missing cells are left empty."""
    text = as_text(columns, rows)
    write_text(path, text)
    digest.begin(text, columns=len(columns))


def as_text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Returns the text of a file."""
    cells = ([row.get(name) or "" for name in columns] for row in rows)
    return "".join(map(csv_line, [columns, *cells]))


def differs(columns: Sequence[str], rows: Iterable[Row], mark: Mark | None) -> bool:
    """Returns whether ``rows`` are not those that a resume point has marked; False if it has no mark.

    Columns that were added since then are not looked at: these rows have no cells there.
    """
    if mark is None:
        return False
    text = as_text(columns[: mark["columns"]], rows)
    return hashlib.sha256(text.encode()).hexdigest() != mark["sha256"]


def csv_line(cells: Sequence[object]) -> str:
    """Returns a row as text, with its end; a cell is quoted where it must be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
