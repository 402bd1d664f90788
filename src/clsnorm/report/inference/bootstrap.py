"""A bootstrap over seeds and examples, studentized: for differences that are far from normal, such as with failed runs.

Percentile intervals over few seeds are far too short (5 seeds: 82 % instead of 95 %). The studentized bootstrap (Efron
and Tibshirani, 1993, chapter 12) resamples the t statistic instead. Below `LEAST` seeds it is refused: a resample then
often repeats one seed only, and its t is undefined.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

Array = np.ndarray
LEAST = 8  # seeds
BLOCK = 500


def studentized_interval(
    differences: Array, level: float = 0.95, *, draws: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """Returns the interval of the mean difference; NaN with fewer than `LEAST` seeds, or without any spread.

    Args:
        differences: ``(S, E)``; E may be 1.
        level: Of the interval.
        draws: Resamples of seeds and examples, each with replacement and independently of each other.
        seed: Of the resamples.
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < LEAST or np.ptp(d) == 0:
        return math.nan, math.nan
    means, errors = resampled(d, draws=draws, seed=seed)
    _, (error,) = moments(d, np.ones((1, d.shape[0])), np.ones((1, d.shape[1])))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (means - d.mean()) / errors
    t = np.sort(np.where(np.isnan(t), 0.0, t))
    k = max(1, math.floor((1 - level) / 2 * (draws + 1)))
    return float(d.mean() - t[-k] * error), float(d.mean() - t[k - 1] * error)


def resampled(differences: Array, *, draws: int, seed: int = 0) -> tuple[Array, Array]:
    """Returns the means and standard errors of ``draws`` resamples of seeds and examples."""
    rows, columns = (_counts(size, draws, seed, place) for place, size in enumerate(differences.shape))
    blocks = [slice(start, start + BLOCK) for start in range(0, draws, BLOCK)]
    found = [moments(differences, rows[b].astype(np.float64), columns[b].astype(np.float64)) for b in blocks]
    means, errors = zip(*found, strict=True)
    return np.concatenate(means), np.concatenate(errors)


@lru_cache(maxsize=8)  # comparisons on one data set share its resamples, whose drawing takes most of the time
def _counts(size: int, draws: int, seed: int, place: int) -> Array:
    """Returns how often each of ``size`` things is drawn, ``(draws, size)``."""
    drawn = np.random.default_rng([seed, place]).multinomial(size, np.full(size, 1 / size), draws)
    return drawn.astype(np.uint16)


def moments(d: Array, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Returns mean and standard error of weighted tables, as `clsnorm.report.inference.crossed.Crossed` has them.

    Args:
        d: ``(S, E)``.
        rows: ``(B, S)``, how often each seed occurs; S in all.
        columns: ``(B, E)``, how often each example does; E in all.
    """
    s, e = d.shape
    row_means = columns @ d.T / e  # (B, S)
    mean = (rows * row_means).sum(1) / s
    seed_square = e * (rows * (row_means - mean[:, None]) ** 2).sum(1) / (s - 1)
    if e == 1:
        return mean, np.sqrt(seed_square / s)
    column_means = rows @ d / s  # (B, E)
    example_sum = s * (columns * (column_means - mean[:, None]) ** 2).sum(1)
    total = (rows * (columns @ (d**2).T)).sum(1) - s * e * mean**2
    rest_square = np.maximum(total - seed_square * (s - 1) - example_sum, 0.0) / ((s - 1) * (e - 1))
    from_examples = np.maximum(example_sum / (e - 1) - rest_square, 0.0)
    return mean, np.sqrt((seed_square + from_examples) / (s * e))
