"""Dimensions far from the others."""

from __future__ import annotations

import torch
from torch import Tensor

from clsnorm.statistics import outlier_dimensions
from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.noise import outlier_probability
from clsnorm.statistics.noise_draws import DRAWS, generator, variance_draws
from clsnorm.statistics.null_distribution import NullDistribution, Simulated
from clsnorm.statistics.statistic import statistic


def mean_distribution(s: Snapshot) -> NullDistribution:
    """Draws of d means, independent normals."""
    draws = torch.from_numpy(generator(s.dim, 10).standard_normal((DRAWS, s.dim)))
    return Simulated([len(outlier_dimensions.outliers(means)) for means in draws])


def over_five_times(variances: Tensor) -> float:
    """Returns the number of variances over five times their mean."""
    return float((variances > 5 * variances.mean()).sum())


@statistic(
    "outliers/mean",
    unit="count",
    source="Kovaleva et al., 2021 (arXiv:2105.06990)",
    null=lambda s: s.dim * outlier_probability(s.dim, 3.0),
    distribution=mean_distribution,
)
def by_mean(s: Snapshot) -> float:
    """Dimensions whose mean is over three standard deviations off the average over dimensions."""
    return float(len(outlier_dimensions.outliers(s.mean)))


@statistic(
    "outliers/variance",
    unit="count",
    source="Rudman et al., 2023 (arXiv:2310.17715)",
    null=lambda s: 0.0,
    distribution=lambda s: Simulated([over_five_times(variances) for variances in variance_draws(s)]),
)
def by_variance(s: Snapshot) -> float:
    """Dimensions with over five times the mean variance."""
    return over_five_times(s.moments.variance)


@statistic(
    "outliers/extreme",
    unit="count",
    source="after Luo et al., 2021 (arXiv:2011.04393)",
    of=lambda s: s.sample.rows,
    null=lambda s: 0.0,
    distribution=lambda s: Simulated([0.0] * DRAWS),  # no dimension of noise is extreme in half of the rows
)
def by_share_of_rows(rows: Tensor) -> float:
    """Dimensions over three standard deviations off the others of the same row, in over half of a sample's rows."""
    return float((outlier_dimensions.extreme_shares(rows) > 0.5).sum())
