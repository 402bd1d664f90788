"""Tests that flip the signs of paired differences: exact whatever their distribution, as long as it is symmetric.

They test seeds alone: "given these report examples, training with a new seed gives no difference". With few seeds they
cannot reject: of S seeds there are ``2^(S - 1)`` different flips, so two-sided p is at least ``2^(1 - S)``, which is
0.25 for 3 seeds and 0.0625 for 5.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
EXACT = 14  # seeds up to which all flips are tried
DRAWS = 9_999
BLOCK = 512


def signs(seeds: int, *, draws: int = DRAWS, seed: int = 0) -> tuple[Array, bool]:
    """Returns ``(F, S)`` flips, and whether they are all of them; the first one flips nothing.

    Without ``draws`` beyond `EXACT` seeds there is no test, so random flips are drawn, from ``seed``.
    """
    if seeds <= EXACT:
        places = np.arange(2 ** max(seeds - 1, 0))[:, None] >> np.arange(seeds)[None, :]
        return 1.0 - 2.0 * (places & 1), True  # the last sign stays: a flip and its opposite give one two-sided value
    drawn = np.random.default_rng(seed).integers(0, 2, (draws, seeds)) * 2.0 - 1.0
    return np.vstack([np.ones(seeds), drawn]), False


def smallest_p(seeds: int) -> float:
    """Returns the least p that so many seeds can give."""
    return 2.0 ** (1 - seeds) if seeds <= EXACT else 1.0 / (DRAWS + 1)


def sign_flip_p(differences: Array, *, draws: int = DRAWS, seed: int = 0) -> Array:
    """Returns p, two-sided, of the mean of paired differences.

    The unflipped differences count as one of the flips, so p is never 0 (Phipson and Smyth, 2010).

    Args:
        differences: ``(..., S)``, one per seed.
        draws: Random flips if there are too many to try all.
        seed: Of the random flips.
    """
    d = np.asarray(differences, dtype=np.float64)
    flips, _ = signs(d.shape[-1], draws=draws, seed=seed)
    means = np.abs(d @ flips.T)
    return (means >= means[..., :1] * (1 - 1e-9)).mean(-1)


def max_t(differences: Array, *, draws: int = DRAWS, seed: int = 0) -> Array:
    """Returns p values adjusted for a family by the step-down maximum of |t| (Westfall and Young, 1993).

    A flip changes the sign of a seed's differences in all comparisons at once, so their dependence counts.

    Args:
        differences: ``(m, S)``, m comparisons over the same seeds; NaN where a comparison lacks a seed.
        draws: Random flips if there are too many to try all.
        seed: Of the random flips.
    """
    d = np.asarray(differences, dtype=np.float64)
    flips, _ = signs(d.shape[-1], draws=draws, seed=seed)
    order = np.argsort(-_t(d, flips[:1])[:, 0], kind="stable")
    counts = np.zeros(len(d))
    for start in range(0, len(flips), BLOCK):
        statistics = _t(d, flips[start : start + BLOCK])[order]
        largest = np.maximum.accumulate(statistics[::-1], axis=0)[::-1]  # over this comparison and all weaker ones
        counts += (largest >= _t(d, flips[:1])[order] * (1 - 1e-9)).sum(1)
    adjusted = np.empty(len(d))
    adjusted[order] = np.maximum.accumulate(counts / len(flips))
    return adjusted


def _t(d: Array, flips: Array) -> Array:
    """Returns |t| of each comparison under each flip, ``(m, F)``; flips do not change the sum of squares."""
    there = np.isfinite(d)
    n, filled = there.sum(1)[:, None], np.where(there, d, 0.0)
    sums, squares = filled @ flips.T, (filled**2).sum(1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.maximum(squares - sums**2 / n, 0.0)
        t = np.abs(sums) / np.sqrt(n * rest / (n - 1))
    return np.where(squares > 0, np.where(np.isnan(t), np.inf, t), 0.0)
