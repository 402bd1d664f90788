"""The distribution of Behrens and Fisher: an error with two parts, of which the first has few degrees of freedom.

``error = sqrt(a / x) u + sqrt(e) v`` with normal ``u`` and ``v`` and ``x`` a chi-square over its degrees of freedom: a
t distribution if ``e = 0``, a normal one if ``a = 0`` (Fisher, 1935). No case is known in which
its tests exceed their level (Robinson, Annals of Statistics, 1976). Those of Satterthwaite do, above all in the tail.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np
from scipy import optimize, special, stats

Array = np.ndarray
NODES = 64
POWER = 6  # packs the nodes where the chi-square is small, which decides the tail
HALVINGS = 60
FEW = 64  # errors, for which all nodes are taken at once


@cache
def _nodes(df: int) -> tuple[Array, Array]:
    """Returns chi-squares over their degrees of freedom, and their weights (Gauss and Legendre)."""
    places, weights = np.polynomial.legendre.leggauss(NODES)
    shares = (places + 1) / 2
    chi = stats.chi2.ppf(shares**POWER, df) / df
    return chi, weights / 2 * POWER * shares ** (POWER - 1)


def upper_tail(error: Array, a: Array, e: Array, seed_df: int, example_df: int) -> Array:
    """Returns the probability of an error of ``error`` or more.

    Args:
        error: Any shape.
        a: Estimated variance from seeds, of ``seed_df`` degrees of freedom.
        e: Estimated variance from examples, of ``example_df``.
        seed_df: At least 1.
        example_df: A few are made up for by the larger variance of their t distribution; 0 if ``e`` is 0.
    """
    wide = e * (example_df / (example_df - 2) if example_df > 2 else 1.0)
    error, a, wide = np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in (error, a, wide)))
    tail = np.zeros(error.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        if not wide.any():
            return np.where(a == 0, _certain(error), special.stdtr(seed_df, -error / np.sqrt(a)))
        if error.size <= FEW:
            chi, weights = _nodes(seed_df)
            tail = special.ndtr(-error[..., None] / np.sqrt(a[..., None] / chi + wide[..., None])) @ weights
        else:  # one node at a time takes less memory
            for one, weight in zip(*_nodes(seed_df), strict=True):
                tail += weight * special.ndtr(-error / np.sqrt(a / one + wide))
    return np.where((a == 0) & (wide == 0), _certain(error), tail)


def _certain(error: Array) -> Array:
    """Returns the probability where there is no spread at all, as of two arms with the same predictions."""
    return np.where(error > 0, 0.0, np.where(error < 0, 1.0, 0.5))


def quantile(probability: float, a: Array, e: Array, seed_df: int, example_df: int) -> Array:
    """Returns the error that is exceeded with probability ``1 - probability``; for ``probability`` above 0.5."""
    a, e = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(e, dtype=np.float64))
    if a.ndim == 0 and a + e == 0:
        return np.zeros(())
    far = special.stdtrit(seed_df, probability) * np.sqrt(a)
    high = far + 3 * special.ndtri(probability) * np.sqrt(e)
    if not e.any():
        return far
    if a.ndim == 0:
        excess = partial(_excess, 1 - probability, a, e, seed_df, example_df)
        return np.asarray(optimize.brentq(excess, 0.0, float(high) * 1.1, xtol=1e-300, rtol=1e-13))
    low = np.zeros(a.shape)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        outside = upper_tail(middle, a, e, seed_df, example_df) > 1 - probability
        low, high = np.where(outside, middle, low), np.where(outside, high, middle)
    return high


def _excess(wanted: float, a: Array, e: Array, seed_df: int, example_df: int, error: float) -> float:
    return float(upper_tail(np.asarray(error), a, e, seed_df, example_df)) - wanted
