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
from clsnorm.errors import InputError

RULE, CURE = "Expected one JSON object per line", "Correct these lines"
CONVERT = "Write each row on a line, as to_json(orient='records', lines=True) of pandas does"

Line = tuple[int, str]  # its number, and its text
Object = tuple[int, dict[Any, Any], frozenset[str]]  # its line, its cells by key, and the keys that occur twice


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
        for part in in_chunks(text_lines(path, self.encoding, shown, newline=None)):
            filled = [(number, line) for number, line in part if line.strip()]
            objects = parse_objects(filled, broken)
            if not checked:
                refuse_other_json(filled, objects, columns, shown)
            if objects and not checked and not broken.count:
                require_columns(columns, _keys(objects), shown)
                checked = True
            rows = _complete(objects, columns, lacking)
            cells = {column: [row[column] for _, row, _ in rows] for column in columns}
            drops = empty_lines(len(part) - len(filled))
            yield Table(cells, [number for number, _, _ in rows], shown, drops=drops)
        broken.refuse(RULE, CURE)
        lacking.refuse("Expected every column once in every row", "Correct these lines")


def parse_objects(lines: Sequence[Line], faults: Faults) -> list[Object]:
    """Parses lines; those that hold no object are left out and noted in ``faults``."""
    found = []
    for number, line in lines:
        try:
            value, twice = _parsed(line)
        except json.JSONDecodeError as error:
            faults.add(number, f"{error.msg} at character {error.colno}")
        except (ValueError, RecursionError) as error:
            faults.add(number, str(error))
        else:
            if isinstance(value, dict):
                found.append((number, value, twice))
            else:
                faults.add(number, f"a {type(value).__name__}")
    return found


def _parsed(line: str) -> tuple[Any, frozenset[str]]:
    """Returns the value of a line, and the keys that the outermost object has twice."""
    twice: frozenset[str] = frozenset()

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        row = dict(pairs)
        twice = frozenset()  # of the object that ends last, which is the outermost one
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            twice = frozenset(name for name in row if names.count(name) > 1)
        return row

    value = json.loads(line, object_pairs_hook=collect)
    return value, twice


def refuse_other_json(lines: Sequence[Line], objects: Sequence[Object], columns: Sequence[Column], shown: str) -> None:
    """Raises InputError if the first ``lines`` of a file show that it is one JSON array, or one object.

    Args:
        lines: The first lines that are not blank.
        objects: What `parse_objects` found in them.
        columns: The columns to read; none: not known yet.
        shown: The file, as messages name it.
    """
    kind = ""
    if lines and not objects:
        kind = _kind(lines)
    elif len(lines) == len(objects) == 1:
        row = objects[0][1]
        if any(column not in row or isinstance(row[column], list | dict) for column in columns or row):
            kind = "one JSON object" if any(isinstance(value, list | dict) for value in row.values()) else ""
    if kind:
        raise InputError(f"{RULE} in {shown}, but it is {kind}. {CONVERT}")


def _kind(lines: Sequence[Line]) -> str:
    """Returns what a file is whose first lines hold no object; empty: unknown."""
    first = lines[0][1].lstrip()
    if first.startswith("["):
        several = len(lines) > 1 and all(line.lstrip().startswith("[") for _, line in lines)
        return "a JSON array on each line" if several else "one JSON array"
    try:
        json.JSONDecoder().raw_decode("\n".join(line for _, line in lines).lstrip())
    except (ValueError, RecursionError):
        return ""
    return "one JSON object over several lines, or several of them" if first.startswith("{") else ""


def _keys(objects: Sequence[Object]) -> list[Any]:
    return list(dict.fromkeys(key for _, row, _ in objects for key in row))


def _complete(objects: Sequence[Object], columns: Sequence[Column], faults: Faults) -> list[Object]:
    """Leaves out objects that lack one of ``columns``, or have one twice."""
    rows = []
    for found in objects:
        number, row, names = found
        if absent := [str(column) for column in columns if column not in row]:
            faults.add(number, f"no {', '.join(absent)}")
        elif twice := [str(column) for column in columns if column in names]:
            faults.add(number, f"{', '.join(twice)} twice")
        else:
            rows.append(found)
    return rows
