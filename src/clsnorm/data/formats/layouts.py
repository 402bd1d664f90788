"""Readers of layouts that are not one table a file: aligned files, a file a class or a text, JSON lists, XML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice, zip_longest
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from clsnorm.data.formats.faults import Faults, require_columns
from clsnorm.data.formats.readers import CHUNK, Column, Columns, FileReader, Reader
from clsnorm.data.formats.text_lines import text_lines
from clsnorm.errors import InputError, require_switch

Row = tuple[int, Sequence[Any]]  # where it starts, and its cells


@dataclass(frozen=True, kw_only=True)
class LineAligned(Reader):
    """Files of which the same lines belong together, such as one of texts and one of labels.

    A split may be several such groups of files: their rows follow each other.

    Args:
        columns: For each file of a group, in their order, the names of its columns.
        delimiter: Between the cells of a file with several columns; a file with one is not cut.
        encoding: Of the files.
    """

    columns: list[list[str]]
    delimiter: str = "\t"
    encoding: str = "utf-8"

    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Columns]:
        count, names = _group(files, shown, self.columns, "columns"), list(chain.from_iterable(self.columns))
        for at in range(0, len(files), count):
            named = shown[at : at + count]
            together = " and ".join(named)
            require_columns(columns, names, together)
            yield from _in_chunks(self._rows(files[at : at + count], named), names, columns, together)

    def _rows(self, files: Sequence[Path], shown: Sequence[str]) -> Iterator[Row]:
        faults = [Faults(name, "line") for name in shown]
        lines = [text_lines(path, self.encoding, name) for path, name in zip(files, shown, strict=True)]
        for number, row in enumerate(zip_longest(*lines), 1):
            if None in row:
                short = shown[row.index(None)]
                raise InputError(
                    f"Expected as many lines in each of {', '.join(shown)}, but {short} ends before line {number}. "
                    "Get the files again"
                )
            cells = [
                text.split(self.delimiter) if len(wanted) > 1 else [text]
                for (_, text), wanted in zip(row, self.columns, strict=True)
            ]
            odd = [at for at, part in enumerate(cells) if len(part) != len(self.columns[at])]
            for at in odd:
                faults[at].add(number, f"{len(cells[at])} cells")
            if not odd:
                yield number, list(chain.from_iterable(cells))
        for fault, wanted in zip(faults, self.columns, strict=True):
            fault.refuse(f"Expected {len(wanted)} cells a line", "Mend these lines, or check the delimiter")


@dataclass(frozen=True, kw_only=True)
class FilePerClass(Reader):
    """A file for each class with one text a line: columns ``text`` and ``label``. An empty line is an empty text.

    A split may be several such groups of files: their rows follow each other.

    Args:
        classes: The class of each file of a group, in their order.
        encoding: Of the files.
    """

    classes: list[str]
    encoding: str = "utf-8"

    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Columns]:
        _group(files, shown, self.classes, "classes")
        for path, name, label in zip(files, shown, cycle(self.classes), strict=False):
            require_columns(columns, ["text", "label"], name)
            rows = ((number, (text, label)) for number, text in text_lines(path, self.encoding, name))
            yield from _in_chunks(rows, ["text", "label"], columns, name)


@dataclass(frozen=True, kw_only=True)
class FilePerText(Reader):
    """A file for each text in a folder for each class: columns ``text`` and ``label``, the name of the folder.

    Args:
        head: False: what stands before the first empty line, such as the head of a mail, is left out.
        encoding: Of the files.
    """

    head: bool = True
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        require_switch("head", self.head)

    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Columns]:
        together = str(Path(shown[0]).parents[1])
        require_columns(columns, ["text", "label"], together)
        yield from _in_chunks(self._rows(files, shown), ["text", "label"], columns, together, unit="file")

    def _rows(self, files: Sequence[Path], shown: Sequence[str]) -> Iterator[Row]:
        for number, (path, name) in enumerate(zip(files, shown, strict=True), 1):
            text = "\n".join(line for _, line in text_lines(path, self.encoding, name))
            yield number, (text if self.head else text.partition("\n\n")[2], path.parent.name)


@dataclass(frozen=True, kw_only=True)
class JsonLists(FileReader):
    """One JSON object that holds several lists, each of which is a list of rows. Such a file is read whole.

    Args:
        lists: The keys of the lists to read, one after the other.
        columns: The names of the cells of a row.
        encoding: Of the file.
    """

    lists: list[str]
    columns: list[str]
    encoding: str = "utf-8"

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Columns]:
        require_columns(columns, self.columns, shown)
        found = self._object(path, shown)
        require_columns(self.lists, list(found), shown)
        for key in self.lists:
            faults = Faults(f"{shown} ({key})", "row")
            rows: list[Any] = found[key] if isinstance(found[key], list) else [None]
            for number, row in enumerate(rows, 1):
                if not isinstance(row, list) or len(row) != len(self.columns):
                    faults.add(number, f"{row!r}")
            faults.refuse(
                f"Expected each row to list {', '.join(self.columns)}", "Mend these rows, or name other lists"
            )
            yield from _in_chunks(enumerate(rows, 1), self.columns, columns, f"{shown} ({key})", unit="row")

    def _object(self, path: Path, shown: str) -> dict[str, Any]:
        text = "\n".join(line for _, line in text_lines(path, self.encoding, shown))
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{shown}, line {error.lineno}: {error.msg}. Mend the JSON") from None
        if not isinstance(found, dict):
            raise InputError(f"Expected one JSON object in {shown}, but got a {type(found).__name__}")
        return found


@dataclass(frozen=True, kw_only=True)
class XmlElements(FileReader):
    """XML of which each element of one name is a row; its attributes and the texts of its children are the columns.

    Args:
        element: The name of the elements.
    """

    element: str

    def read_file(self, path: Path, columns: Sequence[Column], *, shown: str) -> Iterator[Columns]:
        yield from _in_chunks(self._rows(path, columns, shown), columns, columns, shown, unit=self.element)

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
            raise InputError(f"{shown}: {error}. Mend the XML") from None
        if not number:
            raise InputError(f"Expected elements {self.element!r} in {shown}, but it has none. Check the reader's name")
        faults.refuse(f"Expected {', '.join(map(str, columns))} in each {self.element}", "Mend these elements")


@dataclass(frozen=True, kw_only=True)
class Alternatives(Reader):
    """A row for each alternative of a multiple-choice item: columns ``alternative`` and ``chosen`` beside its own.

    ``chosen`` is ``1`` for the right alternative and ``0`` for the others. The rows of an item follow each other, and
    nothing else holds them together: they are shuffled, split and scored one by one.

    Args:
        reader: Reads the items.
        alternatives: The columns of the alternatives.
        answer: The column with the number of the right one, counted from 1.
    """

    reader: Reader
    alternatives: list[str]
    answer: str

    def read(self, files: Sequence[Path], columns: Sequence[Column], *, shown: Sequence[str]) -> Iterator[Columns]:
        kept = [column for column in columns if column not in ("alternative", "chosen")]
        names = [*kept, "alternative", "chosen"]
        wanted = list(dict.fromkeys([*kept, *self.alternatives, self.answer]))
        for items in self.reader.read(files, wanted, shown=shown):
            self._check_answers(items)
            for part in _in_chunks(self._rows(items, kept), names, columns, items.shown, unit=items.unit):
                part.drops, items.drops = items.drops, {}
                yield part

    def _rows(self, items: Columns, kept: Sequence[Column]) -> Iterator[Row]:
        for at, line in enumerate(items.lines):
            own = [items.values[column][at] for column in kept]
            for number, alternative in enumerate(self.alternatives, 1):
                chosen = str(int(items.values[self.answer][at] == str(number)))
                yield line, [*own, items.values[alternative][at], chosen]

    def _check_answers(self, items: Columns) -> None:
        faults, numbers = Faults(items.shown, items.unit), [str(n + 1) for n in range(len(self.alternatives))]
        for answer, line in zip(items.values[self.answer], items.lines, strict=True):
            if answer not in numbers:
                faults.add(line, f"{answer!r}")
        faults.refuse(f"Expected {self.answer} to be one of {', '.join(numbers)}", "Mend these answers")


def _in_chunks(
    rows: Iterable[Row], names: Sequence[Column], columns: Sequence[Column], shown: str, unit: str = "line"
) -> Iterator[Columns]:
    """Yields the ``columns`` of ``rows``, whose cells are named by ``names``, in chunks."""
    places, rows = [names.index(column) for column in columns], iter(rows)
    while part := list(islice(rows, CHUNK)):
        values = {column: [cells[at] for _, cells in part] for column, at in zip(columns, places, strict=True)}
        yield Columns(values, [number for number, _ in part], shown, unit)


def _group(files: Sequence[Path], shown: Sequence[str], parts: Sequence[Any], argument: str) -> int:
    """Returns how many files belong together: one for each of ``parts``, which ``argument`` of the reader names."""
    if not files or len(files) % len(parts):
        raise InputError(
            f"Expected {len(parts)} files a split, as the reader's `{argument}` has, or a multiple of that, but got "
            f"{len(files)}: {', '.join(shown)}. List them in the split"
        )
    return len(parts)
