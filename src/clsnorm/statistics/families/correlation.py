"""How strongly pairs of dimensions correlate."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.families.spread import ISOBN
from clsnorm.statistics.noise_draws import correlation_draws
from clsnorm.statistics.null_distribution import ClosedForm, NullDistribution, Simulated
from clsnorm.statistics.statistic import statistic


def correlations(s: Snapshot) -> Tensor:
    """Returns the correlations of all pairs of dimensions i < j that both vary."""
    covariance = s.covariance
    spread = covariance.diagonal().sqrt()
    varies = spread > 0
    scaled = covariance[varies][:, varies] / torch.outer(spread[varies], spread[varies])
    rows, columns = torch.triu_indices(len(scaled), len(scaled), offset=1)
    return scaled[rows, columns]


FEW = 64  # dimensions up to which correlation matrices are drawn


def null_absolute(s: Snapshot) -> float:
    """Mean of the root of a Beta(1/2, (n - 2) / 2) variable, the distribution of r^2 of independent normals."""
    return math.exp(math.lgamma((s.count - 1) / 2) - math.lgamma(s.count / 2)) / math.sqrt(math.pi)


def null_square(s: Snapshot) -> float:
    """Mean of a Beta(1/2, (n - 2) / 2) variable."""
    return 1 / (s.count - 1)


def averaged_over_pairs(mean: float, variance: float, s: Snapshot) -> NullDistribution:
    """Normal with the exact variance of a mean over pairs: the correlations of noise are independent in pairs."""
    from scipy.stats import norm

    return ClosedForm(norm(mean, math.sqrt(variance / (s.dim * (s.dim - 1) / 2))))


def absolute_distribution(s: Snapshot) -> NullDistribution:
    """Draws for few dimensions, else normal."""
    if s.dim <= FEW:
        return Simulated(abs(correlation_draws(s.dim, s.count - 1)).mean(1) if s.dim > 1 else [math.nan])
    mean = null_absolute(s)
    return averaged_over_pairs(mean, null_square(s) - mean**2, s)


def square_distribution(s: Snapshot) -> NullDistribution:
    """Draws for few dimensions, else normal; the variance of r^2 is that of the Beta distribution."""
    if s.dim <= FEW:
        return Simulated((correlation_draws(s.dim, s.count - 1) ** 2).mean(1) if s.dim > 1 else [math.nan])
    return averaged_over_pairs(null_square(s), 2 * (s.count - 2) / ((s.count - 1) ** 2 * (s.count + 1)), s)


@statistic(
    "correlation/mean_absolute",
    unit="correlation",
    source=ISOBN,
    of=correlations,
    null=null_absolute,
    distribution=absolute_distribution,
)
def mean_absolute(pairs: Tensor) -> float:
    """Mean |r| over all pairs of dimensions."""
    return float(pairs.abs().mean())


@statistic(
    "correlation/mean_square",
    unit="share",
    source=ISOBN,
    of=correlations,
    null=null_square,
    distribution=square_distribution,
)
def mean_square(pairs: Tensor) -> float:
    """Mean r² over all pairs of dimensions."""
    return float(pairs.square().mean())
