"""Differences between arms on the same rows, with intervals and exact tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PairedDifference:
    """An arm minus the reference.

    Attributes:
        difference: Of the mean scores.
        low, high: 95 % interval by the bootstrap over rows, and over draws if there are several.
        better, worse: Rows on which only the arm, or only the reference, is right; None if rows have no such answer.
        p: Exact McNemar test, two-sided: the probability of so uneven a split of these rows if both are equally good.
    """

    difference: float
    low: float
    high: float
    better: int | None
    worse: int | None
    p: float | None


class Resamples:
    """Bootstrap weights of rows and draws, the same for all arms.

    Args:
        rows: Number of rows.
        draws: Number of draws; 1: none are resampled.
        count: Resamples.
        seed: Of the resampling.
    """

    def __init__(self, rows: int, draws: int, *, count: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self._rows = draw.multinomial(rows, np.full(rows, 1 / rows), size=count) / rows
        self._draws = np.ones((count, 1))
        if draws > 1:
            self._draws = draw.multinomial(draws, np.full(draws, 1 / draws), size=count) / draws

    def interval(self, values: np.ndarray) -> tuple[float, float]:
        """Returns the 2.5 and 97.5 % quantiles of the mean of ``values`` ``(draws, rows)`` over resamples."""
        means = ((self._draws @ values) * self._rows).sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)


def paired_difference(arm: np.ndarray, reference: np.ndarray, resamples: Resamples) -> PairedDifference:
    """Compares the scores of two arms, ``(draws, rows)``: 0 or 1, or for numbers the negative squared error."""
    values = arm.astype(np.float64) - reference
    low, high = resamples.interval(values)
    better = worse = p = None
    if len(values) == 1 and arm.dtype == bool:
        better, worse = int((values > 0).sum()), int((values < 0).sum())
        p = mcnemar(better, worse)
    return PairedDifference(float(values.mean()), low, high, better, worse, p)


def mcnemar(better: int, worse: int) -> float:
    """Returns the two-sided p value of the exact McNemar test: ``min(1, 2 P(X <= min))``, X binomial with 1/2.

    Example:
        >>> mcnemar(1, 7)
        0.0703125
    """
    n, k, term, total = better + worse, min(better, worse), 1, 0
    for i in range(k + 1):
        total += term
        term = term * (n - i) // (i + 1)
    return min(1.0, math.exp(math.log(2 * total) - n * math.log(2))) if n else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Returns p values adjusted for their number by Holm's method: valid for the family, whatever depends on what.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted
