"""What the shares of [CLS] before training are for isotropic noise of as many rows and dimensions: exact or simulated.

The nulls of `clsnorm.statistics`, which needs torch; a test compares both.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

DRAWS = 1_999
LARGEST = 5  # dimensions of `top_energy_share`
Null = tuple[float, float, float]  # mean, and the ends of the interval that holds 95 %


def noise_share(name: str, rows: int, dim: int) -> Null:
    """Returns the null of ``centred_share`` or ``top_energy_share``.

    The squared norm of the mean of n rows of noise, times n, and what remains of the sum of squares are independent
    chi-squares of d and ``(n - 1) d`` degrees of freedom: the share of the mean is ``Beta(d / 2, (n - 1) d / 2)``. The
    share of the largest dimensions is simulated from d chi-squares of n degrees of freedom.
    """
    if name == "centred_share":
        null = stats.beta(dim / 2, (rows - 1) * dim / 2)
        low, high = null.interval(0.95)
        return float(null.mean()), float(low), float(high)
    draws = np.random.default_rng(0).chisquare(rows, (DRAWS, dim))
    shares = np.sort(draws, axis=1)[:, -LARGEST:].sum(1) / draws.sum(1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(shares.mean()), float(low), float(high)
