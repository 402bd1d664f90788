"""The mean difference over data sets: over these sets, and over sets like these (random effects)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

Array = np.ndarray


@dataclass(frozen=True)
class OverSets:
    """A mean over K data sets, each with the same weight.

    Attributes:
        mean: Of the sets' mean differences.
        sets: K, at least 2.
        standard_error: Over sets like these: the standard deviation between sets over ``sqrt(K)``. It holds the
            errors of the single sets, too.
        standard_error_of_these: Over these sets: from the errors of the single sets alone.
        between: Standard deviation of the true differences over sets, by Paule and Mandel (1982); 0 if the sets differ
            no more than their errors explain.
        estimates: The sets' mean differences.
    """

    mean: float
    sets: int
    standard_error: float
    standard_error_of_these: float
    between: float
    estimates: Array

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Returns the interval for sets like these: t with K - 1 degrees of freedom."""
        half = float(stats.t.ppf((1 + level) / 2, self.sets - 1)) * self.standard_error
        return self.mean - half, self.mean + half

    def detectable(self, *, alpha: float, power: float) -> float:
        """Returns the smallest true mean that is found with probability ``power``, two-sided at ``alpha``."""
        quantiles = stats.t.ppf([1 - alpha / 2, power], self.sets - 1)
        return float(quantiles.sum()) * self.standard_error

    def p_value(self) -> float:
        """Returns p of "the mean over sets like these is 0", two-sided."""
        return min(1.0, 2 * self._tail(abs(self.mean)))

    def equivalence_p(self, margin: float) -> float:
        """Returns p of the two one-sided tests that this mean is within the margin."""
        return max(self._tail(self.mean + margin), self._tail(margin - self.mean))

    def _tail(self, error: float) -> float:
        if self.standard_error == 0:
            return 0.0 if error > 0 else 1.0 if error < 0 else 0.5
        return float(stats.t.sf(error / self.standard_error, self.sets - 1))


def over_sets(estimates: Array, standard_errors: Array) -> OverSets:
    """Returns the mean over data sets.

    Args:
        estimates: ``(K,)`` mean differences, K at least 2.
        standard_errors: ``(K,)``, of these.
    """
    d, errors = np.asarray(estimates, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    k = len(d)
    return OverSets(
        mean=float(d.mean()),
        sets=k,
        standard_error=float(d.std(ddof=1) / np.sqrt(k)),
        standard_error_of_these=float(np.sqrt((errors**2).sum()) / k),
        between=paule_mandel(d, errors**2) ** 0.5,
        estimates=d,
    )


def paule_mandel(estimates: Array, variances: Array) -> float:
    """Returns the variance between sets at which the weighted squares around the mean are as expected, ``K - 1``."""
    d, v = np.asarray(estimates, dtype=np.float64), np.maximum(variances, 1e-300)

    def excess(between: float) -> float:
        weights = 1 / (v + between)
        centre = (weights * d).sum() / weights.sum()
        return float((weights * (d - centre) ** 2).sum() - (len(d) - 1))

    if excess(0.0) <= 0:
        return 0.0
    return float(optimize.brentq(excess, 0.0, (len(d) * np.ptp(d) ** 2) + 1e-300, xtol=1e-16, rtol=1e-12))
