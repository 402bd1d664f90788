"""The format of COPA: XML of multiple-choice items, read as one row per alternative."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from clsnorm.data.formats.faults import Faults
from clsnorm.data.formats.reader import Column, FileReader, Reader, Table, in_tables
from clsnorm.errors import InputError

Row = tuple[int, Sequence[Any]]  # the number of its element, and its cells


@dataclass(frozen=True, kw_only=True)
class XmlElements(FileReader):
    """XML in which each element of one name is a row; its attributes and the texts of its children are the columns.

    Args:
        element: The name of the elements.
    """

    element: str

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Table]:
        yield from in_tables(self._rows(path, columns, shown), columns, columns, shown, unit=self.element)

    def _rows(self, path: Path, columns: Sequence[Column], shown: str) -> Iterator[Row]:
        faults, number = Faults(shown, self.element), 0
        try:
            for _, element in ElementTree.iterparse(path):
                if element.tag != self.element:
                    continue
                number += 1
                cells = {**element.attrib, **{child.tag: "".join(child.itertext()) for child in element}}
                if absent := [str(column) for column in columns if column not in cells]:
                    faults.add(number, f"no {', '.join(absent)}")
                yield number, [cells.get(str(column)) for column in columns]
                element.clear()
        except ElementTree.ParseError as error:
            raise InputError(f"{shown}: {error}. Correct the XML") from None
        if not number:
            raise InputError(
                f"Expected elements {self.element!r} in {shown}, but it has none. Check the reader's `element`"
            )
        faults.refuse(f"Expected {', '.join(map(str, columns))} in each {self.element}", "Correct these elements")


@dataclass(frozen=True, kw_only=True)
class Alternatives(Reader):
    """A row per alternative of a multiple-choice item: its own columns, ``alternative`` and ``chosen``.

    ``chosen`` is ``1`` for the right alternative and ``0`` for the others. The rows of an item follow each other, but
    nothing else connects them: they are shuffled, split and scored one by one.

    Args:
        reader: Reads the items.
        alternatives: The columns of the alternatives.
        answer: The column with the number of the right one, counted from 1.
    """

    reader: Reader
    alternatives: list[str]
    answer: str

    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Table]:
        own = [column for column in columns if column not in ("alternative", "chosen")]
        names = [*own, "alternative", "chosen"]
        wanted = list(dict.fromkeys([*own, *self.alternatives, self.answer]))
        for items in self.reader.read(files, wanted, shown=shown):
            self._require_answers(items)
            for table in in_tables(self._rows(items, own), names, columns, items.shown, unit=items.unit):
                table.drops, items.drops = items.drops, {}  # counted once, in the first table
                yield table

    def _rows(self, items: Table, own: Sequence[Column]) -> Iterator[Row]:
        for at, line in enumerate(items.lines):
            cells = [items.columns[column][at] for column in own]
            for number, alternative in enumerate(self.alternatives, 1):
                chosen = str(int(items.columns[self.answer][at] == str(number)))
                yield line, [*cells, items.columns[alternative][at], chosen]

    def _require_answers(self, items: Table) -> None:
        faults, numbers = Faults(items.shown, items.unit), [str(n + 1) for n in range(len(self.alternatives))]
        for answer, line in zip(items.columns[self.answer], items.lines, strict=True):
            if answer not in numbers:
                faults.add(line, f"{answer!r}")
        faults.refuse(f"Expected {self.answer} to be one of {', '.join(numbers)}", "Correct these answers")
