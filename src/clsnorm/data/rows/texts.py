"""Checks of texts, and their hashes: exact, and up to case, punctuation and spaces."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

import numpy as np

from clsnorm.data.formats.faults import Faults, names_of
from clsnorm.data.formats.reader import Table
from clsnorm.errors import InputError


class _Unmarked(dict[int, int | None]):
    """For `str.translate`: drops punctuation of any script. Symbols count if they are ASCII: an emoji is a word."""

    def __missing__(self, code: int) -> int | None:
        mark = chr(code) in string.punctuation or unicodedata.category(chr(code)).startswith("P")
        self[code] = None if mark else code
        return self[code]


UNMARKED = _Unmarked()


def near_form(text: str) -> str:
    """Returns a form of a text that is equal for near-exact duplicates.

    Compatibility forms of Unicode are unified (NFKC), letters are lower-cased, punctuation is dropped, runs of spaces
    become one. A text that would become empty is returned unchanged.

    Example:
        >>> near_form("It 's  GOOD .") == near_form("it's good") == "its good"
        False
        >>> near_form("It's  GOOD .") == near_form("its good!") == "its good"
        True
    """
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(plain.lower().translate(UNMARKED).split()) or text


def hashes(texts: Sequence[Sequence[str]], form: Callable[[str], str] = str) -> np.ndarray:
    """Returns a 64-bit hash of each row's text or pair, uint64 ``(rows,)``.

    Among n different texts two collide with a probability of about ``n² / 2⁶⁵``: 3e-6 for ten million.

    Args:
        texts: One list of texts, or two for pairs.
        form: Applied to each text first.
    """
    return np.frombuffer(b"".join(map(_digest, _rows(texts, form))), np.uint64)


def _rows(texts: Sequence[Sequence[str]], form: Callable[[str], str]) -> Iterable[str]:
    formed = [[form(text) for text in column] for column in texts]
    if len(formed) == 1:
        return formed[0]
    return [f"{len(first)} {first}{second}" for first, second in zip(*formed, strict=True)]  # unambiguous


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


class Texts:
    """Checks the texts of one split chunk by chunk, and finds the rows without an empty text.

    Args:
        max_empty: Largest share of rows with an empty text.
    """

    def __init__(self, max_empty: float) -> None:
        self._max_empty = max_empty
        self._faults = Faults("", "")
        self._rows = self._empty = 0
        self._files: dict[str, None] = {}  # in the order of reading
        self._numbers: dict[int, str] = {}  # first cell of each text column
        self._words: set[int] = set()  # text columns that do not only hold numbers

    def full(self, table: Table) -> list[int]:
        """Returns the rows of the next chunk without an empty text."""
        if table.shown != self._faults.file:
            self._refuse_faults()
            self._faults = Faults(table.shown, table.unit)
            self._files[table.shown] = None
        for column in table.texts:
            for cell, line in zip(column, table.lines, strict=True):
                if fault := _fault(cell):
                    self._faults.add(line, fault)
        if self._faults.count:
            return []
        full = [i for i, row in enumerate(zip(*table.texts, strict=True)) if all(cell and cell.strip() for cell in row)]
        self._rows += len(table.lines)
        self._empty += len(table.lines) - len(full)
        self._look_for_words([[column[i] for i in full] for column in table.texts])
        return full

    def finish(self) -> None:
        """Raises InputError for the faults that `full` found.

        These are: a cell that is no text, a column of numbers only, more than ``max_empty`` of the rows with an empty
        text, or no row without one.
        """
        self._refuse_faults()
        shown = names_of(self._files)
        if self._empty == self._rows:
            raise InputError(f"Expected text in {shown}, but all {self._rows} rows are empty. Check data.text")
        if self._empty > self._max_empty * self._rows:
            raise InputError(
                f"Expected at most {self._max_empty:.3g} of the rows of {shown} to have an empty text, but "
                f"{self._empty} of {self._rows} have. Check data.text, or set data.max_empty"
            )
        for column, example in self._numbers.items():
            if column not in self._words:
                raise InputError(
                    f"Expected text in {shown}, but a text column holds only numbers, such as {example!r}. Name "
                    "another column in data.text"
                )

    def _refuse_faults(self) -> None:
        self._faults.refuse("Expected text in the text column", "Name another column in data.text")

    def _look_for_words(self, texts: list[list[str]]) -> None:
        for at, column in enumerate(texts):
            if at not in self._words and column:
                self._numbers.setdefault(at, column[0])
                if not all(map(is_number, column)):
                    self._words.add(at)


def _fault(cell: object) -> str:
    """Returns the fault of a cell that should hold text or nothing; empty: none."""
    if isinstance(cell, str):
        return "" if cell.isascii() or _encodes(cell) else "half of a surrogate pair"
    return "" if cell is None else f"{cell!r}"


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(text: str) -> bool:
    """Returns whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
