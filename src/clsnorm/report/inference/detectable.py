"""What a sweep can see: the smallest difference it would find, and how many seeds would decide."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from clsnorm.report.inference import behrens_fisher
from clsnorm.report.inference.crossed import Crossed

POWER = 0.8
MOST = 10_000  # seeds that are looked at


def detectable(found: Crossed, *, alpha: float = 0.05, power: float = POWER, seeds: int | None = None) -> float:
    """Returns the smallest true difference that is found with probability ``power``, two-sided at ``alpha``.

    The sum of the two quantiles of the error, at the variances that were estimated.

    Args:
        found: Of one comparison.
        alpha: Of the test; that of a family is divided by its size.
        power: Of the test.
        seeds: For another number of seeds than there are.
    """
    chosen = found.seeds if seeds is None else seeds
    a = found.from_seeds * found.seeds / chosen
    parts = (a, found.from_examples, chosen - 1, found.examples - 1)
    return float(behrens_fisher.quantile(1 - alpha / 2, *parts) + behrens_fisher.quantile(power, *parts))


def seeds_to_decide(found: Crossed, margin: float, *, alpha: float = 0.05, power: float = POWER) -> int | None:
    """Returns how many seeds would decide between "differs" and "equivalent"; None if no number of seeds would.

    Decided means: a true difference of the margin is found, and a true difference of 0 is shown to be within the
    margin, each with probability ``power``. If the report examples alone make the error too large, only more of them
    can help.
    """

    def decides(seeds: int) -> bool:
        a = found.from_seeds * found.seeds / seeds
        parts = (a, found.from_examples, seeds - 1, found.examples - 1)
        equal = behrens_fisher.quantile(1 - alpha, *parts) + behrens_fisher.quantile((1 + power) / 2, *parts)
        return detectable(found, alpha=alpha, power=power, seeds=seeds) <= margin and bool(equal <= margin)

    return _fewest(decides) if np.isfinite(found.standard_error) else None


def seeds_to_find(found: Crossed, difference: float, *, alpha: float = 0.05, power: float = POWER) -> int | None:
    """Returns how many seeds find a true ``difference`` with probability ``power``; None if no number does."""
    if not np.isfinite(found.standard_error) or not difference:
        return None
    return _fewest(lambda seeds: detectable(found, alpha=alpha, power=power, seeds=seeds) <= abs(difference))


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """Returns the smallest number of seeds that is enough, from 2 to `MOST`; None if `MOST` are not."""
    if not enough(MOST):
        return None
    low, high = 1, MOST
    while high - low > 1:
        middle = math.isqrt(low * high) if high > 4 * low else (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
