"""``metrics.csv``: every logged number of a run, one row a step of `clsnorm.lightning_internals.step_number`."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

from clsnorm.errors import DamagedFileError
from clsnorm.run_folder.csv_file import (
    CHANGED_ROWS,
    REPAIR,
    CsvFile,
    Row,
    differs,
    fault_of_step,
    read_csv,
    sound_rows,
    write_csv,
)
from clsnorm.run_folder.table_digest import Mark, TableDigest

log = logging.getLogger(__name__)
STEP = "step"
TAIL = 1 << 14  # bytes at the end of a file that nearly always hold its last row
Series = list[tuple[int, float]]


def read_series(path: Path) -> dict[str, Series]:
    """Returns steps and values of each column, without empty cells; nothing if the file does not exist.

    Raises:
        DamagedFileError: If a row is damaged; one that is being written is left out.
    """
    series: dict[str, Series] = {}
    for row in read_rows(path):
        step = int(row.pop(STEP))
        for name, cell in row.items():
            if cell:
                series.setdefault(name, []).append((step, _number(path, cell, f"step {step}, {name}")))
    return series


def _number(path: Path, cell: str, place: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise DamagedFileError.of(path, f"{place}: {cell[:40]!r} is not a number", REPAIR) from None


def read_last_row(path: Path) -> dict[str, float]:
    """Returns the non-empty cells of the last row, ``step`` included, without parsing the rows before it.

    Raises:
        DamagedFileError: If that row is damaged; one that is being written is left out.
    """
    columns = read_columns(path)
    if not columns:
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        tail = _complete_lines(file.read())
    if len(tail) < 2:  # the row is longer, or there is none
        tail = _complete_lines(path.read_bytes())[1:]
    if not tail:
        return {}
    cells = next(csv.reader([tail[-1].decode("utf-8", errors="replace")]), [])
    row = dict(zip(columns, cells, strict=False))
    fault = f"{len(cells)} cells instead of {len(columns)}" if len(cells) != len(columns) else fault_of_step(row)
    if fault:
        raise DamagedFileError.of(path, f"last line: {fault}", REPAIR)
    return {name: _number(path, cell, f"last line, {name}") for name, cell in row.items() if cell}


def _complete_lines(content: bytes) -> list[bytes]:
    return content[: content.rfind(b"\n") + 1].splitlines()


def read_columns(path: Path) -> list[str]:
    """Returns the names in the heading; none if the file does not exist.

    Raises:
        DamagedFileError: If the first line is not a heading.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        first = next(csv.reader(file), [])
    if first and first[0] != STEP:
        raise DamagedFileError.of(path, f"its first line is not a heading that begins with {STEP!r}")
    return first


def read_rows(path: Path) -> list[Row]:
    """Returns all rows as text, by column.

    Raises:
        DamagedFileError: If a row is damaged; one that is being written is left out.
    """
    return sound_rows(path, _read(path))


def keep_until(path: Path, step: int, digest: TableDigest, mark: Mark | None = None) -> None:
    """Starts the file, or drops the rows of ``step`` and later, which a resumed run will log again.

    Damaged rows, such as one that was cut when a machine lost power, are dropped with a warning.

    Args:
        path: The file.
        step: The resume point.
        digest: Of the file; from now on, of the rows that stay.
        mark: What the resume point stores of the rows before it; if they differ, a warning says so.
    """
    if step and not path.exists():
        log.warning("%s is missing: what the run logged before step %d is lost", path, step)
        digest.intact = False
        return
    try:
        found = _read(path)
    except DamagedFileError as error:
        log.warning("%s", error)
        found = CsvFile()
    if step and not found.columns:
        log.warning("%s is replaced: what the run logged before step %d is lost", path, step)
    if found.faults:
        log.warning("%s: dropped damaged rows: %s", path, "; ".join(found.faults[:5]))
    rows = [row for row in found.rows if int(row[STEP]) < step]
    if differs(found.columns or [STEP], rows, mark):
        log.warning("%s: %s", path, CHANGED_ROWS.format(f"before step {step}"))
        digest.intact = False
    write_csv(path, found.columns or [STEP], rows, digest)


def _read(path: Path) -> CsvFile:
    return read_csv(path, fault_of_step, first=STEP)
