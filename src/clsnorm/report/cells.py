"""How a report writes points, differences, intervals and p values in its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clsnorm.pages.numbers import UNDEFINED

Line = Mapping[str, Any]


def points(value: float | None) -> str:
    """Returns a number of points with two decimals."""
    return UNDEFINED if value is None else f"{value:.2f}"


def signed(value: float | None) -> str:
    """Returns a difference with its sign.

    Example:
        >>> signed(0.5), signed(-0.123), signed(None)
        ('+0.50', '−0.12', '–')
    """
    return UNDEFINED if value is None else f"{value:+.2f}".replace("-", "−")


def interval(line: Line) -> str:
    """Returns the ends of an interval."""
    return UNDEFINED if line["low"] is None else f"{signed(line['low'])} to {signed(line['high'])}"


def share_interval_text(line: Line) -> str:
    """Returns the ends of the interval of a failure rate."""
    low, high = line["failure_low"], line["failure_high"]
    return UNDEFINED if low is None else f"{100 * low:.0f} % to {100 * high:.0f} %"


def p_text(p: float | None) -> str:
    """Returns a p value.

    Example:
        >>> p_text(0.0421), p_text(1e-9), p_text(None)
        ('0.042', '<0.001', '–')
    """
    return UNDEFINED if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
