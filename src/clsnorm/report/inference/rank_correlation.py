"""Spearman's rank correlation with an interval: of independent points, and of runs within groups that share seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

Array = np.ndarray
LEAST = 5  # points, or seeds, below which no interval is given
EXACT = 7  # points up to which all permutations are tried
DRAWS = 9_999


@dataclass(frozen=True)
class RankCorrelation:
    """A correlation.

    Attributes:
        rho: Spearman's; NaN if one side does not vary.
        points: Number of pairs.
        units: Number of independent units: points, or seeds.
        low: Lower end of the 95 % interval; NaN with fewer than `LEAST` units.
        high: Upper end.
        p: Of "no correlation", two-sided; NaN as the interval is.
    """

    rho: float
    points: int
    units: int
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan


def of_points(x: Array, y: Array, *, draws: int = DRAWS) -> RankCorrelation:
    """Returns the correlation of independent points.

    The interval is Fisher's with the standard error ``sqrt((1 + rho^2 / 2) / (n - 3))`` of z (Bonett and Wright,
    2000), p of a permutation test: exact up to `EXACT` points, else of ``draws`` permutations.
    """
    x, y = _finite(x, y)
    n = len(x)
    rho = _pearson(stats.rankdata(x), stats.rankdata(y)) if n > 1 else math.nan
    if n < LEAST or math.isnan(rho):
        return RankCorrelation(rho, n, n)
    half = stats.norm.ppf(0.975) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return RankCorrelation(rho, n, n, *_around(rho, half), _permutation_p(stats.rankdata(x), stats.rankdata(y), draws))


def within_groups(x: Array, y: Array, groups: Sequence[Hashable], seeds: Sequence[Hashable]) -> RankCorrelation:
    """Returns the correlation of ranks within groups, such as the runs of one arm on one data set.

    What differs between groups plays no part. Runs of one seed are not independent, so the interval and p are of the
    jackknife over seeds, on the scale of z, with t of one degree of freedom less than seeds.
    """
    keep = np.isfinite(x) & np.isfinite(y)
    x, y = np.asarray(x, dtype=np.float64)[keep], np.asarray(y, dtype=np.float64)[keep]
    group = _codes([one for one, kept in zip(groups, keep, strict=True) if kept])
    seed = _codes([one for one, kept in zip(seeds, keep, strict=True) if kept])
    rho, units = _grouped(x, y, group), int(seed.max()) + 1 if len(seed) else 0
    if units < LEAST or math.isnan(rho):
        return RankCorrelation(rho, len(x), units)
    left = np.array([_grouped(*(part[seed != one] for part in (x, y, group))) for one in range(units)])
    if not np.isfinite(left).all():
        return RankCorrelation(rho, len(x), units)
    z = np.arctanh(np.clip(left, -1 + 1e-9, 1 - 1e-9))
    error = math.sqrt((units - 1) / units * ((z - z.mean()) ** 2).sum())
    t = stats.t(units - 1)
    p = 1.0 if rho == 0 else 0.0 if error == 0 else 2 * float(t.sf(abs(_z(rho)) / error))
    return RankCorrelation(rho, len(x), units, *_around(rho, t.ppf(0.975) * error), p)


def _finite(x: Array, y: Array) -> tuple[Array, Array]:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


def _codes(names: Sequence[Hashable]) -> Array:
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names], dtype=int)


def _pearson(x: Array, y: Array) -> float:
    x, y = x - x.mean(), y - y.mean()
    spread = math.sqrt(float((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread > 0 else math.nan


def _grouped(x: Array, y: Array, group: Array) -> float:
    """Returns the correlation of ranks that are centred, and scaled to -1 to 1, within each group."""
    a, b = np.zeros(len(x)), np.zeros(len(y))
    for one in np.unique(group):
        mine = group == one
        for ranks, values in ((a, x), (b, y)):
            found = stats.rankdata(values[mine])
            ranks[mine] = (found - found.mean()) / max(len(found) - 1, 1)
    spread = math.sqrt(float((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 1e-12 else math.nan


def _z(rho: float) -> float:
    return math.atanh(max(-1 + 1e-9, min(1 - 1e-9, rho)))


def _around(rho: float, half: float) -> tuple[float, float]:
    return math.tanh(_z(rho) - half), math.tanh(_z(rho) + half)


def _permutation_p(x: Array, y: Array, draws: int) -> float:
    x, y = x - x.mean(), y - y.mean()
    if len(x) <= EXACT:
        sums = np.array([x @ y[list(order)] for order in itertools.permutations(range(len(x)))])
        return float((np.abs(sums) >= abs(x @ y) - 1e-9).mean())
    random = np.random.default_rng(0)
    sums = random.permuted(np.tile(y, (draws, 1)), axis=1) @ x
    return float((1 + (np.abs(sums) >= abs(x @ y) - 1e-9).sum()) / (draws + 1))
