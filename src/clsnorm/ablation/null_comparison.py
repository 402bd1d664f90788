"""Where a value lies among those of random sets, and how sure that is with so many sets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clsnorm.report.inference.binomials import wilson


def percentile(value: float, null: Sequence[float]) -> float:
    """Returns the share of the null below ``value``; equal ones, and the value itself, count half.

    ``(below + (equal + 1) / 2) / (n + 1)``: without ties it is one of ``n + 1`` equally spaced numbers, each with the
    same probability if the value is a draw from the null. NaN if the value, or a number of the null, is undefined.
    """
    others = np.asarray(null, dtype=float)
    if not (math.isfinite(value) and np.isfinite(others).all()):
        return math.nan
    return float(((others < value).sum() + ((others == value).sum() + 1) / 2) / (len(others) + 1))


def p_value(value: float, null: Sequence[float]) -> float:
    """Returns the probability of a value at least this large under the null, ``(1 + #(null >= value)) / (n + 1)``.

    The value counts as one of the null, so that it is never 0 and the test is valid for any number of sets (Phipson and
    Smyth, 2010, arXiv:1603.05766).
    """
    others = np.asarray(null, dtype=float)
    if not (math.isfinite(value) and np.isfinite(others).all()):
        return math.nan
    return float((1 + (others >= value).sum()) / (len(others) + 1))


def excess(value: float, null: Sequence[float]) -> float:
    """Returns how many standard deviations of the null ``value`` is above its mean; 0 if the null does not vary."""
    others = np.asarray(null, dtype=float)
    spread = others.std(ddof=1) if len(others) > 1 else 0.0
    return float((value - others.mean()) / spread) if spread > 0 else 0.0


def _nowhere() -> dict[str, float | list[float]]:
    return {"percentile": math.nan, "interval": [math.nan, math.nan], "p": math.nan}


def compared(value: float, null: Sequence[float]) -> dict[str, float | list[float]]:
    """Returns mean, standard deviation and middle 95 % of the null, and where ``value`` lies in it."""
    others = np.asarray(null, dtype=float)
    position = percentile(value, null)
    if not len(others):
        return {"mean": math.nan, "sd": math.nan, "middle": [math.nan] * 2, **_nowhere()}
    return {
        "mean": float(others.mean()),
        "sd": float(others.std(ddof=1)) if len(others) > 1 else math.nan,
        "middle": [float(q) for q in np.quantile(others, [0.025, 0.975])],
        "percentile": position,
        "interval": list(wilson(position, len(others))),
        "p": p_value(value, null),
    }
