"""How heavy and how skewed the tails of single dimensions are, and of the dimensions of one row."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.noise_draws import DRAWS, SMALL, generator, standardized_moments
from clsnorm.statistics.null_distribution import ClosedForm, NullDistribution, Simulated
from clsnorm.statistics.ratios import ratio
from clsnorm.statistics.statistic import ELEMENTARY, statistic


def kurtoses(s: Snapshot) -> Tensor:
    """Returns the excess kurtosis of each dimension; NaN where one is constant."""
    second, _, fourth = s.tails.central()
    return (torch.where(second > 0, fourth / second.square(), torch.nan) - 3).cpu()


def skewnesses(s: Snapshot) -> Tensor:
    """Returns the skewness of each dimension; NaN where one is constant."""
    second, third, _ = s.tails.central()
    return torch.where(second > 0, third / second.pow(1.5), torch.nan).cpu()


def averaged_kurtosis(count: int, columns: int) -> NullDistribution:
    """The mean excess kurtosis of independent samples of ``count`` normals.

    Draws for small numbers, else normal with the exact mean and variance of one (Fisher, 1930).
    """
    from scipy.stats import norm

    n = count
    if n * columns <= SMALL:
        return Simulated(standardized_moments(n, columns)[1])
    variance = 24 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5))
    return ClosedForm(norm(-6 / (n + 1), math.sqrt(variance / columns)))


def skewness_deviation(n: int) -> float:
    """Returns the standard deviation of the skewness of n normals, exactly (Fisher, 1930)."""
    return math.sqrt(6 * max(n - 2, 0) / ((n + 1) * (n + 3)))


def skewness_distribution(s: Snapshot) -> NullDistribution:
    """Draws for small numbers, else of normals with the exact variance."""
    if s.count * s.dim <= SMALL:
        return Simulated(standardized_moments(s.count, s.dim)[0])
    normals = generator(s.dim, s.count, 11).standard_normal((DRAWS, s.dim))
    return Simulated(skewness_deviation(s.count) * abs(normals).mean(1))


@statistic(
    "tails/kurtosis",
    unit="ratio",
    source=ELEMENTARY,
    null=lambda s: -6 / (s.count + 1),
    distribution=lambda s: averaged_kurtosis(s.count, s.dim),
)
def kurtosis(s: Snapshot) -> float:
    """Mean excess kurtosis of a dimension."""
    return float(kurtoses(s).nanmean())


@statistic("tails/kurtosis_max", unit="ratio", source=ELEMENTARY)
def kurtosis_max(s: Snapshot) -> float:
    """Largest excess kurtosis of a dimension."""
    found = kurtoses(s)
    found = found[found.isfinite()]
    return float(found.max()) if len(found) else math.nan


@statistic(
    "tails/skewness",
    unit="ratio",
    source=ELEMENTARY,
    null=lambda s: math.sqrt(2 / math.pi) * skewness_deviation(s.count),
    distribution=skewness_distribution,
)
def skewness(s: Snapshot) -> float:
    """Mean absolute skewness of a dimension."""
    return float(skewnesses(s).abs().nanmean())


@statistic(
    "tails/kurtosis_across",
    unit="ratio",
    source="Composer's ActivationMonitor",
    null=lambda s: -6 / (s.dim + 1),
    distribution=lambda s: averaged_kurtosis(s.dim, s.count) if s.dim > 3 else Simulated([math.nan]),
)
def kurtosis_across(s: Snapshot) -> float:
    """Mean excess kurtosis over the dimensions of one embedding.

    Rows whose dimensions are all equal are left out.
    """
    sums = s.directions.sums
    return ratio(float(sums["kurtosis"]), s.count - float(sums["flat"])) - 3
