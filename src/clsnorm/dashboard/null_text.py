"""How pages show a null with its spread, and where a number lies; numbers of earlier versions have the mean alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clsnorm.pages.numbers import as_float, compared, number


def null_text(found: Mapping[str, Any]) -> str:
    """Returns the mean of a null and its interval.

    Example:
        >>> null_text({"value": 0.7, "null": 0.0005, "null_low": 0.0004, "null_high": 0.0006})
        '0.0005 (0.0004 to 0.0006)'
        >>> null_text({"value": 0.7, "null": 0.0005}), null_text({"value": 0.7, "null": None})
        ('0.0005', '–')
    """
    ends = found.get("null_low"), found.get("null_high")
    mean = number(found["null"])
    return mean if None in ends else f"{mean} ({number(ends[0])} to {number(ends[1])})"


def verdict(found: Mapping[str, Any]) -> str:
    """Returns ``below``, ``within`` or ``above`` the interval of the null; empty if there is none.

    Example:
        >>> verdict({"value": 0.7, "null": 0.0005, "null_low": 0.0004, "null_high": 0.0006})
        'above'
    """
    low, high = found.get("null_low"), found.get("null_high")
    if low is None or high is None:  # an infinite end is stored as null
        return ""
    return compared(as_float(found["value"]), as_float(low), as_float(high))


def chance_text(found: Mapping[str, Any]) -> str:
    """Returns the probabilities of such a value or a smaller or larger one; empty if they are not known.

    Example:
        >>> chance_text({"p_below": 0.08, "p_above": 0.9225})
        'P(≤) 0.08, P(≥) 0.9225'
    """
    below, above = found.get("p_below"), found.get("p_above")
    return "" if below is None or above is None else f"P(≤) {number(below)}, P(≥) {number(above)}"
