"""Variance components of a complete factorial table with random factors: which source moves scores, and how far.

One score per cell. Model: the score is the sum of independent effects of each factor and each set of factors, so their
variances add (Searle, Casella and McCulloch, Variance Components, 1992, chapter 4). The interaction of all factors
cannot be told from what remains.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
DRAWS = 20_000
Effect = tuple[int, ...]  # places of factors


@dataclass(frozen=True)
class Component:
    """The variance of one effect.

    Attributes:
        factors: Places of its factors.
        free: Degrees of freedom.
        variance: Unbiased estimate, which may be negative.
        share: Of the sum of all variances, each taken for 0 if negative.
        low: Lower end of the 95 % interval of the share.
        high: Upper end.
    """

    factors: Effect
    free: int
    variance: float
    share: float
    low: float
    high: float


def components(scores: Array, *, draws: int = DRAWS, seed: int = 0) -> list[Component]:
    """Returns the component of each effect, main effects first.

    A mean square over its expectation is a chi-square over its degrees of freedom. Intervals are those of generalized
    inference (Weerahandi, 1993): the expectations are drawn from that, variances solved from them, and shares taken.

    Args:
        scores: One axis for each factor, with at least 2 levels each.
        draws: Number of draws.
        seed: Of the draws.
    """
    levels = scores.shape
    effects = [one for size in range(1, len(levels) + 1) for one in itertools.combinations(range(len(levels)), size)]
    free = np.array([math.prod(levels[place] - 1 for place in one) for one in effects])
    squares = np.array([_square(scores, one) for one in effects])
    weights = np.array([[_weight(levels, one, other) for other in effects] for one in effects], dtype=np.float64)
    variances = np.linalg.solve(weights, squares)
    chi = np.random.default_rng(seed).chisquare(free, (draws, len(effects)))
    drawn = _shares(np.linalg.solve(weights, (free * squares / chi).T))
    low, high = np.nanquantile(drawn, (0.025, 0.975), axis=1) if squares.any() else np.full((2, len(effects)), np.nan)
    shares = _shares(variances[:, None])[:, 0]
    found = zip(effects, free, variances, shares, low, high, strict=True)
    return [Component(one, int(df), *map(float, rest)) for one, df, *rest in found]


def _square(scores: Array, effect: Effect) -> float:
    """Returns the mean square of an effect: its part of each marginal mean, without those of smaller effects."""
    axes = range(scores.ndim)
    part = np.zeros_like(scores, dtype=np.float64)
    for size in range(len(effect) + 1):
        for kept in itertools.combinations(effect, size):
            mean = scores.mean(tuple(axis for axis in axes if axis not in kept), keepdims=True)
            part = part + (-1) ** (len(effect) - size) * mean
    return float((part**2).sum() / math.prod(scores.shape[place] - 1 for place in effect))


def _weight(levels: tuple[int, ...], effect: Effect, other: Effect) -> float:
    """Returns how often the variance of ``other`` is in the expected mean square of ``effect``."""
    if not set(effect) <= set(other):
        return 0.0
    return float(math.prod(count for place, count in enumerate(levels) if place not in other))


def _shares(variances: Array) -> Array:
    kept = np.maximum(variances, 0.0)
    total = kept.sum(0)
    return np.divide(kept, total, out=np.full(kept.shape, np.nan), where=total > 0)
