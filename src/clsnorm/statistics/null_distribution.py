"""`NullDistribution`: what a statistic is where there is nothing to find, with its spread."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

SHARE = 0.95  # of the null inside its interval


class NullDistribution(Protocol):
    """The distribution of a statistic over noise, or over random labels."""

    def mean(self) -> float:
        """Returns its mean."""

    def interval(self) -> tuple[float, float]:
        """Returns the ends of the interval that holds 95 % of it, with 2.5 % on either side."""

    def at_most(self, value: float) -> float:
        """Returns the probability of ``value`` or less."""

    def at_least(self, value: float) -> float:
        """Returns the probability of ``value`` or more."""


class Simulated:
    """The distribution of R simulated values.

    The interval ends at the k-th smallest and the k-th largest one with ``k = 0.025 (R + 1)``: another value of the
    same distribution lies outside with probability ``2 k / (R + 1)``, exactly if it is continuous.
    A probability counts the observed value as one of the draws, ``(1 + #) / (R + 1)`` (Phipson and Smyth, 2010), so it
    is never 0.

    Args:
        values: ``(R,)``; infinite ones are allowed.

    Example:
        >>> null = Simulated(np.arange(1.0, 200.0))
        >>> null.interval(), null.at_most(5.0), null.at_least(1000.0)
        ((5.0, 195.0), 0.03, 0.005)
    """

    def __init__(self, values: Any) -> None:
        self._values = np.sort(np.asarray(values, dtype=np.float64))

    def mean(self) -> float:
        return float(self._values.mean())

    def interval(self) -> tuple[float, float]:
        k = max(1, math.floor((1 - SHARE) / 2 * (len(self._values) + 1) + 1e-9))
        return float(self._values[k - 1]), float(self._values[-k])

    def at_most(self, value: float) -> float:
        return float((1 + (self._values <= value).sum()) / (1 + len(self._values)))

    def at_least(self, value: float) -> float:
        return float((1 + (self._values >= value).sum()) / (1 + len(self._values)))


class ClosedForm:
    """A distribution in closed form.

    Args:
        frozen: A continuous distribution of ``scipy.stats`` with its parameters.
    """

    def __init__(self, frozen: Any) -> None:
        self._frozen = frozen

    def mean(self) -> float:
        return float(self._frozen.mean())

    def interval(self) -> tuple[float, float]:
        low, high = self._frozen.interval(SHARE)
        return float(low), float(high)

    def at_most(self, value: float) -> float:
        return float(self._frozen.cdf(value))

    def at_least(self, value: float) -> float:
        return float(self._frozen.sf(value))
