"""Failure rates: exact intervals, and exact paired tests of their difference."""

from __future__ import annotations

from scipy import stats


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
