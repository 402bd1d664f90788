"""Reads all rows of files through a reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clsnorm.data import Reader
from clsnorm.data.formats.reader import CHUNK, Column


def read_rows(
    reader: Reader, files: Sequence[Path], columns: Sequence[Column]
) -> tuple[list[tuple[Any, ...]], list[int]]:
    """Returns all rows and the lines they start on."""
    rows: list[tuple[Any, ...]] = []
    lines: list[int] = []
    for chunk in reader.read(files, columns, shown=[path.name for path in files]):
        assert 0 < len(chunk.lines) <= CHUNK
        assert not chunk.drops
        rows += zip(*(chunk.columns[column] for column in columns), strict=True)
        lines += chunk.lines
    return rows, lines
