"""How a page shows a number."""

from __future__ import annotations

import math

UNDEFINED = "–"


def number(value: float | None) -> str:
    """Returns ``value`` with four significant digits; – if it is None or NaN.

    From 10,000 to ten million it is rounded to a whole number.

    Example:
        >>> [number(value) for value in (0.75, 0.000123456, 12345.6, float("-inf"), None)]
        ['0.75', '0.0001235', '12,346', '−∞', '–']
    """
    if value is None or math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"


def count(value: int) -> str:
    """Returns a whole number with commas between thousands.

    Example:
        >>> count(65349)
        '65,349'
    """
    return f"{value:,}"


def as_float(value: float | None) -> float:
    """Returns a number read from JSON, where null means undefined, as a float: NaN for None."""
    return math.nan if value is None else float(value)
