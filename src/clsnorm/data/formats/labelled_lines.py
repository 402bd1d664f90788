"""Lines of a label, a space and a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsnorm.data.formats.faults import require_columns
from clsnorm.data.formats.reader import Column, FileReader, Table, empty_lines, in_chunks
from clsnorm.data.formats.text_lines import text_lines


@dataclass(frozen=True, kw_only=True)
class LabelledLines(FileReader):
    """Lines of a label, a space, and a text: columns ``label`` and ``text``.

    Args:
        encoding: Encoding of the file.
        label_until: The label ends before this string, as in ``DESC:manner``; null: it is used whole.
    """

    encoding: str = "utf-8"
    label_until: str | None = None

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Table]:
        require_columns(columns, ["label", "text"], shown)
        for part in in_chunks(text_lines(path, self.encoding, shown)):
            lines: list[int] = []
            cells: dict[Column, list[Any]] = {"label": [], "text": []}
            for number, line in part:
                if line.strip():
                    label, _, text = line.partition(" ")
                    lines.append(number)
                    cells["label"].append(self._shortened(label))
                    cells["text"].append(text)
            wanted = {column: cells[column] for column in columns}
            yield Table(wanted, lines, shown, drops=empty_lines(len(part) - len(lines)))

    def _shortened(self, label: str) -> str:
        return label.partition(self.label_until)[0] if self.label_until else label
