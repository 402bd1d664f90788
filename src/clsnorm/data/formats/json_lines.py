"""JSON Lines: one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsnorm.data.formats.faults import Faults, require_columns
from clsnorm.data.formats.reader import Column, FileReader, Table, empty_lines, in_chunks
from clsnorm.data.formats.text_lines import text_lines

Object = tuple[int, dict[Any, Any]]  # its line, and its cells by key


@dataclass(frozen=True, kw_only=True)
class JsonLines(FileReader):
    """One JSON object per line.

    Args:
        encoding: Encoding of the file.
    """

    encoding: str = "utf-8"

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Table]:
        broken, lacking = Faults(shown, "line"), Faults(shown, "line")
        checked = False  # whether the first objects have the columns
        for part in in_chunks(text_lines(path, self.encoding, shown)):
            filled = [(number, line) for number, line in part if line.strip()]
            objects = _objects(filled, broken)
            if objects and not checked and not broken.count:
                require_columns(columns, _keys(objects), shown)
                checked = True
            rows = _complete(objects, columns, lacking)
            cells = {column: [row[column] for _, row in rows] for column in columns}
            drops = empty_lines(len(part) - len(filled))
            yield Table(cells, [number for number, _ in rows], shown, drops=drops)
        broken.refuse("Expected one JSON object per line", "Correct these lines")
        lacking.refuse("Expected every column in every row", "Add the missing ones")


def _objects(lines: Sequence[tuple[int, str]], faults: Faults) -> list[Object]:
    """Parses ``lines`` and leaves out those that hold no object."""
    found = []
    for number, line in lines:
        try:
            value = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            faults.add(number, str(error))
            continue
        if isinstance(value, dict):
            found.append((number, value))
        else:
            faults.add(number, f"a {type(value).__name__}")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _keys(objects: Sequence[Object]) -> list[Any]:
    return list(dict.fromkeys(key for _, row in objects for key in row))


def _complete(objects: Sequence[Object], columns: Sequence[Column], faults: Faults) -> list[Object]:
    """Leaves out objects that lack one of ``columns``."""
    rows = []
    for number, row in objects:
        if absent := [str(column) for column in columns if column not in row]:
            faults.add(number, f"no {', '.join(absent)}")
        else:
            rows.append((number, row))
    return rows
