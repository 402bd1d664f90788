"""How likely the first row of a table is its header, judged by the rows below it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from math import log10
from statistics import mean
from typing import NamedTuple

from clsnorm.data.formats.table_header import cleaned
from clsnorm.data.own_files.column_roles import LABELS, is_known
from clsnorm.data.rows.texts import is_number

SURE = 2.3  # powers of ten between the two explanations: 200 to 1
RARE = -2.0  # the least that one value says, however many rows lack it
SENTENCE = 4  # words; names of columns are shorter
MISSING = {"", "n/a", "na", "nan", "null", "none", "missing", "unknown", "other", "mixed", "?", "-", "--", "tbd"}


class _Odds(NamedTuple):
    """Log10 of the likelihood of a cell.

    Args:
        seen: As one of the classes of its column.
        form: As a cell of the form that its column has: words, numbers, dates.
        name: As the name of its column.
    """

    seen: float = 0.0
    form: float = 0.0
    name: float = 0.0


def header_odds(first: Sequence[str], below: Sequence[Sequence[str]]) -> float:
    """Returns log10 of how much likelier ``first`` is as a header than as a row like those ``below``.

    As a row, each cell must have the form of its column, and these likelihoods multiply; its classes must occur, which
    counts once, since a rare text often has a rare class. As a header, each cell must be a likely name; names resemble
    each other, so the least likely one counts. A value never seen below is rare, but never rarer than 1 in 100: rare
    values exist. So one odd value does not decide, unless it is a usual name, or a word above numbers. Column
    numbers above texts decide nothing, unless they are in order: they may be a text and its class, too.

    Args:
        first: The cells of the row.
        below: The rows below it, with at least as many cells.
    """
    if _is_counted(first, below):
        return 9.0
    odds = [_cell_odds(cleaned(cell), [row[at].strip() for row in below]) for at, cell in enumerate(first)] or [_Odds()]
    as_row = min(cell.seen for cell in odds) + sum(cell.form for cell in odds)
    found = min(cell.name for cell in odds) - as_row
    return max(found, 0.0) if _is_numbered(first, below) else found


def _is_counted(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Are the names 0, 1, 2, ... as pandas writes them for columns without names, and not numbers like those below?"""
    names = [cleaned(cell) for cell in first]
    start = names.index("0") if "0" in names else len(names)  # an index of pandas is named, or not, but by no number
    counted = names[start:]
    if len(names) < 2 or counted != [str(at) for at in range(len(counted))] or any(map(is_number, names[:start])):
        return False
    return any(_is_text([row[at].strip() for row in below]) for at in range(start, len(names)))


def _is_numbered(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Are there the numbers 0, 1, ... in any order, one of them above texts?"""
    names = [cleaned(cell) for cell in first]
    numbers = {name: at for at, name in enumerate(names) if name.isdecimal()}
    if len(numbers) < 2 or {*numbers} != set(map(str, range(len(numbers)))):
        return False
    return any(_is_text([row[at].strip() for row in below]) for at in numbers.values())


def _is_text(cells: Sequence[str]) -> bool:
    """Is this a column of texts, hardly one of which is a number?"""
    full = [cell for cell in cells if cell]
    return bool(full) and mean(map(_words, full)) > 1.5 and sum(map(is_number, full)) <= len(full) / 4


def _cell_odds(first: str, cells: Sequence[str]) -> _Odds:
    full = [cell for cell in cells if cell]
    odds = _by_values(first, full) if first and full else _Odds()
    if is_known(first) and first not in full:
        word = _repeats(full) and mean(map(_words, full)) < 1.5  # a class may be called question, or comment
        return odds._replace(form=odds.form - (1.0 if word and first.lower() not in LABELS else 3.0))
    return odds


def _by_values(first: str, cells: Sequence[str]) -> _Odds:
    if first in cells:
        return _Odds(name=-6.0)
    if all(is_number(cell) or cell.lower() in MISSING for cell in cells):
        return _above_numbers(first, cells)
    if len(cells) > 2 and (shape := _common_shape(cells)):
        return _above_codes(first, cells, shape)
    by_text = _above_texts(first, cells) if mean(map(_words, cells)) >= SENTENCE - 1 else _Odds()
    by_class = _above_classes(first, cells) if _repeats(cells) else _Odds()
    return _Odds(by_class.seen, by_class.form + by_text.form, min(by_text.name, by_class.name))


def _above_numbers(first: str, cells: Sequence[str]) -> _Odds:
    if is_number(first):
        return _Odds(name=-5.0)
    if first.lower() in MISSING:
        return _Odds(form=-1.0, name=-2.0)
    if len(cells) == 1:  # one number does not make a column of numbers
        return _Odds(form=-1.0)
    return _Odds(form=RARE + max(-1.0, -log10(len(cells) + 1)))


def _above_codes(first: str, cells: Sequence[str], shape: str) -> _Odds:
    """Dates, numbers with letters: all values have digits, and most the same shape."""
    if _shape(first) == shape:
        return _Odds(name=-5.0)
    return _Odds() if any(map(str.isdigit, first)) else _Odds(form=_share(cells, lambda cell: False))


def _above_texts(first: str, cells: Sequence[str]) -> _Odds:
    words = _words(first)
    if is_number(first):
        return _Odds(form=_share(cells, is_number), name=-1.0) if any(map(is_number, cells)) else _Odds(form=2 * RARE)
    if first.endswith("?") and sum(cell.endswith("?") for cell in cells) < len(cells) / 10:
        return _Odds(name=-2.0)  # a question of a survey
    if words >= SENTENCE or first.endswith((".", "!", "…")):
        return _Odds(name=-3.0)
    return _Odds(form=_share(cells, lambda cell: _words(cell) <= words))


def _above_classes(first: str, cells: Sequence[str]) -> _Odds:
    once = sum(count == 1 for count in Counter(cells).values())
    seen = max(RARE, log10((once + 1) / (len(cells) + 1)))
    longer = all(_words(cell) == 1 for cell in cells) and _words(first) > 1
    form = _share(cells, lambda cell: False) if longer else 0.0
    return _Odds(seen, form, -2.0 if first.lower() in MISSING else 0.0)


def _share(cells: Sequence[str], like: Callable[[str], bool]) -> float:
    """Returns log10 of the share of cells like the first, at least that of a rare one."""
    return max(RARE, log10((sum(map(like, cells)) + 1) / (len(cells) + 2)))


def _repeats(cells: Sequence[str]) -> bool:
    """Does a column have the same values again and again?"""
    return len(cells) >= 4 and len(set(cells)) <= len(cells) / 2


def _words(text: str) -> int:
    """Returns the number of words; of scripts without spaces, about half the letters."""
    return max(len(text.split()), sum("\u2e80" <= c <= "\u9fff" or "\uac00" <= c <= "\ud7a3" for c in text) // 2)


def _common_shape(cells: Sequence[str]) -> str | None:
    """Returns the shape of most cells, if all have digits and no cell occurs as a class does."""
    if _repeats(cells) or not all(any(map(str.isdigit, cell)) and len(cell) <= 40 for cell in cells):
        return None
    shape, count = Counter(map(_shape, cells)).most_common(1)[0]
    return shape if count >= 0.6 * len(cells) and _words(cells[0]) < SENTENCE else None


def _shape(cell: str) -> str:
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", cell))
