"""``metrics.csv``: every logged number of a run, one row a step of `clsnorm.lightning_internals.step_number`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from clsnorm.files import write_text

TAIL = 1 << 14  # bytes at the end of a file that nearly always hold its last row
Series = list[tuple[int, float]]


def read_series(path: Path) -> dict[str, Series]:
    """Returns steps and values of each column, without empty cells; nothing if the file does not exist."""
    series: dict[str, Series] = {}
    for row in read_rows(path):
        step = int(row.pop("step"))
        for name, cell in row.items():
            if cell:
                series.setdefault(name, []).append((step, float(cell)))
    return series


def read_last_row(path: Path) -> dict[str, float]:
    """Returns the non-empty cells of the last row, ``step`` included, without parsing the rows before it."""
    columns = read_columns(path)
    if not columns:
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        tail = file.read().splitlines()
    if len(tail) < 2:  # the row is longer, or there is none
        tail = path.read_bytes().splitlines()[1:]
    cells = next(csv.reader([tail[-1].decode()])) if tail else []
    return {name: float(cell) for name, cell in zip(columns, cells, strict=False) if cell}


def read_columns(path: Path) -> list[str]:
    """Returns the names in the heading."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def read_rows(path: Path) -> list[dict[str, str]]:
    """Returns all rows as text, by column."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rewrite(path: Path, rows: list[dict[str, str]], columns: Sequence[str]) -> None:
    """Replaces the file; a row's missing cells are left empty."""
    lines = [columns, *([row.get(name) or "" for name in columns] for row in rows)]
    if columns:
        write_text(path, "".join(map(_line, lines)))


def _line(values: Sequence[str]) -> str:
    return ",".join(f'"{value}"' if "," in value else value for value in values) + "\n"
