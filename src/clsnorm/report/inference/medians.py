"""Medians and spreads over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

Array = np.ndarray


def brown_forsythe(scores: Sequence[Array]) -> float:
    """Returns p of equal spreads (Brown and Forsythe, 1974: Levene's test around the medians).

    It takes the arms for independent. Scores of paired seeds that rise and fall together make it conservative.

    Args:
        scores: ``(..., S)`` of each arm; at least 3 seeds each, else NaN.
    """
    if min(len(np.atleast_1d(arm)) for arm in scores) < 3 or all(np.ptp(arm) == 0 for arm in scores):
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):  # distances without any spread
        return float(stats.levene(*scores, center="median").pvalue)


def median_interval(differences: Array, level: float = 0.95) -> tuple[float, float, float]:
    """Returns an interval of the median, and the level that it truly has: exact, from order statistics.

    NaN if even the interval from the least to the largest value has less than ``level``, as with fewer than 6 values.

    Example:
        >>> median_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
        (1.0, 6.0, 0.96875)
    """
    values = np.sort(np.asarray(differences, dtype=np.float64))
    n = len(values)
    cut = int(stats.binom.ppf((1 - level) / 2, n, 0.5))  # P(X <= cut - 1) < (1 - level) / 2
    true = 1 - 2 * float(stats.binom.cdf(cut - 1, n, 0.5))
    if n == 0 or cut < 1:
        return math.nan, math.nan, math.nan
    return float(values[cut - 1]), float(values[n - cut]), true
