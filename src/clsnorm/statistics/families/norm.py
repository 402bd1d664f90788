"""How long the rows are."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.noise import chi_variation
from clsnorm.statistics.noise_draws import norm_variations
from clsnorm.statistics.null_distribution import ClosedForm, NullDistribution, Simulated
from clsnorm.statistics.ratios import ratio
from clsnorm.statistics.statistic import ELEMENTARY, statistic


@statistic("norm/mean", unit="norm", source=ELEMENTARY)
def mean(s: Snapshot) -> float:
    """Mean norm."""
    return float(s.directions.sums["norm"]) / s.count


@statistic("norm/mean_1", unit="norm", source=ELEMENTARY)
def mean_1(s: Snapshot) -> float:
    """Mean 1-norm: the most that an Adam step of size 1 moves a logit."""
    return float(s.directions.sums["norm_1"]) / s.count


MANY = 20_000  # rows from which the coefficient of variation of their norms is normal


def variation_distribution(s: Snapshot) -> NullDistribution:
    """Draws of the norms, chi with d degrees of freedom; of very many a normal distribution."""
    from scipy.stats import norm

    if s.count < MANY:
        return Simulated(norm_variations(s.dim, s.count))
    variation = chi_variation(s.dim)
    return ClosedForm(norm(variation, variation / math.sqrt(2 * s.count)))


@statistic(
    "norm/variation",
    unit="ratio",
    source=ELEMENTARY,
    null=lambda s: chi_variation(s.dim),
    distribution=variation_distribution,
)
def variation(s: Snapshot) -> float:
    """Coefficient of variation of the norm."""
    return ratio(float(s.norms.values.std()), float(s.norms.values.mean()))


def percentile(s: Snapshot, percent: float) -> float:
    """Returns a percentile of the norms of all rows, exact, interpolated linearly."""
    return float(np.percentile(s.norms.values, percent))


for percent in (1, 5, 50, 95, 99):
    statistic(
        f"norm/p{percent:02d}",
        unit="norm",
        source=ELEMENTARY,
        meaning=f"{percent} % of the norms are below it, exactly.",
    )(partial(percentile, percent=percent))
