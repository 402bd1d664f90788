"""How a label is written, and when two labels mean the same: one rule for stated labels and those of files."""

from __future__ import annotations

import math
import numbers
import unicodedata
from collections.abc import Hashable, Sequence
from decimal import Decimal
from typing import Any

# How YAML, SQL, R and Python write these values in text files.
TRUTH = {True: {"true", "yes", "on", "t", "y"}, False: {"false", "no", "off", "f", "n"}}
NOTHING = {"", "null", "none", "~"}


def spell(label: Any) -> str:
    """Returns a label as a name: ``1`` for 1, 1.0 and ``" 1 "``; ``true`` for True; empty for None and NaN."""
    if isinstance(label, str):
        return label.strip()
    if isinstance(label, int):
        return str(label).lower()  # a bool is an int
    if label is None or label != label:  # NaN, of any type
        return ""
    if isinstance(label, numbers.Integral):
        return str(int(label))
    if isinstance(label, Decimal) and label.is_finite():
        return f"{label.normalize():f}"
    if isinstance(label, numbers.Real) and float(label).is_integer():
        return str(int(float(label)))
    return str(label).strip()


def shown(label: Any) -> str:
    """Returns a label as a configuration has it, for messages: ``null`` for None."""
    return "null" if label is None else spell(label) or "nan"


def is_typed(label: Any) -> bool:
    """Is a label a value, not a text? YAML, JSON and Parquet have values, CSV only texts."""
    return not isinstance(label, str)


def same(one: Any, other: Any) -> bool:
    """Do two labels mean the same?

    Two texts do if they are equal but for spaces around them. A value and a text do if the text is a way to write the
    value: 1 and ``1.0``, True and ``TRUE`` or ``yes``, None and ``null``. Two values do if they are equal: 1 and True.
    YAML turns an unquoted ``no`` into False, so a stated value may be any of its words.

    Example:
        >>> same(1.0, "1"), same("1.0", "1"), same(False, "no"), same("false", "no")
        (True, False, True, False)
    """
    if (name := spell(one)) and name == spell(other):
        return True
    return (is_typed(one) or is_typed(other)) and bool(_meanings(one) & _meanings(other))


def place(label: Any, stated: Sequence[Any]) -> int | None:
    """Returns the index of the one of ``stated`` that is spelled like ``label`` or else means the same; or None."""
    name = spell(label)
    exact = [i for i, one in enumerate(stated) if name and spell(one) == name]
    found = exact or [i for i, one in enumerate(stated) if same(one, label)]
    return found[0] if len(found) == 1 else None


def number(text: str) -> float | None:
    """Returns the finite number that a text writes, or None; ``1_000`` is a name."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and "_" not in text else None


def fold(name: str) -> Hashable:
    """Returns a form of a name that is equal for names that look the same.

    These differ only in case, in white space, in the form of Unicode (NFKC), in characters without a shape, such as
    U+200B, or in how a number is written.
    """
    if (value := number(name)) is not None:
        return value
    plain = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    return "".join(unicodedata.normalize("NFKC", plain.casefold()).split())


def _meanings(label: Any) -> set[tuple[str, Any]]:
    """Returns everything that a label can be read as."""
    name = spell(label).lower()
    if isinstance(label, bool):
        return {("truth", label), ("number", float(label))}
    if name == "nan" or (isinstance(label, float) and math.isnan(label)):
        return {("not a number", True)}
    found: set[tuple[str, Any]] = {("truth", truth) for truth, words in TRUTH.items() if name in words}
    if number(name) is not None or name.lstrip("+-") in ("inf", "infinity"):
        found.add(("number", float(name)))
    if name in NOTHING:
        found.add(("nothing", True))
    return found
