"""Splits of several files that belong together: aligned files, a file per class, a file per text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, zip_longest
from pathlib import Path
from typing import Any

from clsnorm.data.formats.faults import Faults, require_columns
from clsnorm.data.formats.reader import Column, Reader, Table, in_tables
from clsnorm.data.formats.text_lines import text_lines
from clsnorm.errors import InputError, require_switch

Row = tuple[int, Sequence[Any]]  # the line it starts on, and its cells


@dataclass(frozen=True, kw_only=True)
class LineAligned(Reader):
    """Files whose lines correspond, such as one of texts and one of labels.

    A split may have several such groups of files; their rows follow each other.

    Args:
        columns: The column names of each file of a group, in order.
        delimiter: Separates the cells of a file with several columns; the lines of a file with one are not split.
        encoding: Encoding of the files.
    """

    columns: list[list[str]]
    delimiter: str = "\t"
    encoding: str = "utf-8"

    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Table]:
        size, names = _group_size(files, shown, self.columns, "columns"), list(chain.from_iterable(self.columns))
        for at in range(0, len(files), size):
            named = shown[at : at + size]
            together = " and ".join(named)
            require_columns(columns, names, together)
            yield from in_tables(self._rows(files[at : at + size], named), names, columns, together)

    def _rows(self, files: Sequence[Path], shown: Sequence[str]) -> Iterator[Row]:
        faults = [Faults(name, "line") for name in shown]
        lines = [text_lines(path, self.encoding, name) for path, name in zip(files, shown, strict=True)]
        for number, together in enumerate(zip_longest(*lines), 1):
            if None in together:
                short = shown[together.index(None)]
                raise InputError(
                    f"Expected as many lines in each of {', '.join(shown)}, but {short} ends before line {number}. "
                    "Download the files again"
                )
            cells = [self._cells(text, names) for (_, text), names in zip(together, self.columns, strict=True)]
            odd = [at for at, part in enumerate(cells) if len(part) != len(self.columns[at])]
            for at in odd:
                faults[at].add(number, f"{len(cells[at])} cells")
            if not odd:
                yield number, list(chain.from_iterable(cells))
        for fault, names in zip(faults, self.columns, strict=True):
            fault.refuse(f"Expected {len(names)} cells per line", "Correct these lines, or check the delimiter")

    def _cells(self, text: str, names: Sequence[str]) -> list[str]:
        return text.split(self.delimiter) if len(names) > 1 else [text]


@dataclass(frozen=True, kw_only=True)
class FilePerClass(Reader):
    """A file per class with one text per line: columns ``text`` and ``label``. An empty line is an empty text.

    A split may have several such groups of files; their rows follow each other.

    Args:
        classes: The class of each file of a group, in order.
        encoding: Encoding of the files.
    """

    classes: list[str]
    encoding: str = "utf-8"

    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Table]:
        _group_size(files, shown, self.classes, "classes")
        for path, name, label in zip(files, shown, cycle(self.classes), strict=False):
            require_columns(columns, ["text", "label"], name)
            rows = ((number, (text, label)) for number, text in text_lines(path, self.encoding, name))
            yield from in_tables(rows, ["text", "label"], columns, name)


@dataclass(frozen=True, kw_only=True)
class FilePerText(Reader):
    """A file per text in a folder per class: columns ``text`` and ``label``, the name of the folder.

    Args:
        head: False: everything up to the first empty line, such as the head of a mail, is left out.
        encoding: Encoding of the files.
    """

    head: bool = True
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        require_switch("head", self.head)

    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Table]:
        together = str(Path(shown[0]).parents[1])
        require_columns(columns, ["text", "label"], together)
        yield from in_tables(self._rows(files, shown), ["text", "label"], columns, together, unit="file")

    def _rows(self, files: Sequence[Path], shown: Sequence[str]) -> Iterator[Row]:
        for number, (path, name) in enumerate(zip(files, shown, strict=True), 1):
            text = "\n".join(line for _, line in text_lines(path, self.encoding, name))
            yield number, (text if self.head else text.partition("\n\n")[2], path.parent.name)


def _group_size(files: Sequence[Path], shown: Sequence[str], parts: Sequence[Any], argument: str) -> int:
    """Returns how many files form a group: one for each of ``parts``, the value of the reader's ``argument``."""
    if not files or len(files) % len(parts):
        raise InputError(
            f"Expected {len(parts)} files per split, as in the reader's `{argument}`, or a multiple of that, but got "
            f"{len(files)}: {', '.join(shown)}. List them in the split"
        )
    return len(parts)
