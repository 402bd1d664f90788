"""The format of CLINC150: all splits as lists in one JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsnorm.data.formats.faults import Faults, require_columns
from clsnorm.data.formats.reader import Column, FileReader, Table, in_tables
from clsnorm.data.formats.text_lines import text_lines
from clsnorm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class JsonLists(FileReader):
    """One JSON object with several lists, each a list of rows. The file is loaded whole.

    Args:
        lists: The keys of the lists to read, one after the other.
        columns: The names of the cells of a row.
        encoding: Encoding of the file.
    """

    lists: list[str]
    columns: list[str]
    encoding: str = "utf-8"

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Table]:
        require_columns(columns, self.columns, shown)
        found = self._object(path, shown)
        require_columns(self.lists, list(found), shown)
        for key in self.lists:
            named = f"{shown} ({key})"
            rows: list[Any] = found[key] if isinstance(found[key], list) else [None]
            self._require_cells(rows, named)
            yield from in_tables(enumerate(rows, 1), self.columns, columns, named, unit="row")

    def _require_cells(self, rows: Sequence[Any], shown: str) -> None:
        faults = Faults(shown, "row")
        for number, row in enumerate(rows, 1):
            if not isinstance(row, list) or len(row) != len(self.columns):
                faults.add(number, f"{row!r}")
        faults.refuse(f"Expected each row to list {', '.join(self.columns)}", "Correct these rows, or name other lists")

    def _object(self, path: Path, shown: str) -> dict[str, Any]:
        text = "\n".join(line for _, line in text_lines(path, self.encoding, shown))
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{shown}, line {error.lineno}: {error.msg}. Correct the JSON") from None
        if not isinstance(found, dict):
            raise InputError(f"Expected one JSON object in {shown}, but got a {type(found).__name__}")
        return found
