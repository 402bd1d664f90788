"""How a page shows a number."""

from __future__ import annotations

import math

from clsnorm.errors import is_number, is_whole

UNDEFINED = "–"


def number(value: float | None) -> str:
    """Returns ``value`` with four significant digits; – if it is None, NaN or, in someone else's file, not a number.

    From 10,000 to ten million it is rounded to a whole number.

    Example:
        >>> [number(value) for value in (0.75, 0.000123456, 12345.6, float("-inf"), None)]
        ['0.75', '0.0001235', '12,346', '−∞', '–']
    """
    shown = as_float(value) if is_number(value) else math.nan
    if math.isnan(shown):
        return UNDEFINED
    if math.isinf(shown):
        return "∞" if shown > 0 else "−∞"
    return f"{shown:,.0f}" if 1e4 <= abs(shown) < 1e7 else f"{shown:.4g}"


def count(value: int) -> str:
    """Returns a whole number with commas between thousands; – if it is none.

    Example:
        >>> count(65349)
        '65,349'
    """
    return f"{value:,}" if is_whole(value) else UNDEFINED


def plural(number: int, name: str) -> str:
    """Returns how many there are of something, whose name takes an s unless it is one.

    Example:
        >>> plural(1, "run"), plural(12000, "run")
        ('1 run', '12,000 runs')
    """
    return f"{count(number)} {name}{'' if number == 1 else 's'}"


def as_float(value: float | None) -> float:
    """Returns a number read from JSON, where null means undefined, as a float: NaN for None."""
    try:
        return math.nan if value is None else float(value)
    except OverflowError:  # JSON may hold whole numbers that are too large for a float
        return math.inf if value and value > 0 else -math.inf


def compared(value: float | None, low: float | None, high: float | None) -> str:
    """Returns whether a number is ``below``, ``within`` or ``above`` an interval; empty if anything is undefined.

    Example:
        >>> compared(0.2, 0.1, 0.3), compared(0.4, 0.1, 0.3), compared(0.4, None, None)
        ('within', 'above', '')
    """
    if value is None or low is None or high is None or math.isnan(value):
        return ""
    return "below" if value < low else "above" if value > high else "within"
