"""Intervals of shares, exact and by Wilson; exact paired tests of the difference of failure rates."""

from __future__ import annotations

import math

from scipy import stats

Z95 = 1.959963984540054  # of a normal distribution, two-sided


def clopper_pearson(failures: int, runs: int, level: float = 0.95) -> tuple[float, float]:
    """Returns the exact interval of a rate (Clopper and Pearson, 1934), which covers at least ``level`` at any rate.

    Example:
        >>> low, high = clopper_pearson(0, 10)
        >>> low, round(high, 4)
        (0.0, 0.3085)
    """
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, failures, runs - failures + 1) if failures else 0.0
    high = stats.beta.isf(tail, failures + 1, runs - failures) if failures < runs else 1.0
    return float(low), float(high)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share of ``count`` draws (Wilson, 1927): close to its level, but not at least it.

    Args:
        share: From 0 to 1; not only of whole numbers of draws, such as a percentile over random sets.
        count: Number of draws.
    """
    if not count or math.isnan(share):
        return math.nan, math.nan
    centre = share + Z95**2 / (2 * count)
    half = Z95 * math.sqrt(share * (1 - share) / count + Z95**2 / (4 * count**2))
    scale = 1 + Z95**2 / count
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def paired_p(only_arm: int, only_baseline: int) -> float:
    """Returns p of equal failure rates over paired seeds: McNemar's test, conditional and exact.

    Args:
        only_arm: Seeds at which the arm fails and the baseline does not.
        only_baseline: The other way round.
    """
    unlike = only_arm + only_baseline
    return float(stats.binomtest(only_arm, unlike).pvalue) if unlike else 1.0


def paired_interval(only_arm: int, only_baseline: int, seeds: int, level: float = 0.95) -> tuple[float, float]:
    """Returns an interval of the difference of two failure rates, arm minus baseline; it covers at least ``level``.

    Both shares of unlike seeds get an exact interval of level ``(1 + level) / 2``; the ends are differences of theirs
    (Bonferroni). Wide, but no promise about small numbers is broken.
    """
    more, fewer = (clopper_pearson(k, seeds, (1 + level) / 2) for k in (only_arm, only_baseline))
    return max(-1.0, more[0] - fewer[1]), min(1.0, more[1] - fewer[0])
