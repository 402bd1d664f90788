"""How far embeddings are from centred on the origin."""

from __future__ import annotations

import math

import torch

from clsnorm.statistics import geometry
from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.noise import mean_chi
from clsnorm.statistics.noise_draws import DRAWS, generator
from clsnorm.statistics.null_distribution import ClosedForm, NullDistribution, Simulated
from clsnorm.statistics.ratios import ratio
from clsnorm.statistics.statistic import ELEMENTARY, statistic

ZHOU = "Zhou, Du and Ren, 2019 (arXiv:1911.03918): the claim"


LEFT_OUT = 5  # dimensions of the largest mean square that `without_largest` leaves out


def share_distribution(s: Snapshot) -> NullDistribution:
    """Beta(d / 2, (n - 1) d / 2): the mean takes d of the n d degrees of freedom of the sum of squares."""
    from scipy.stats import beta

    return ClosedForm(beta(s.dim / 2, (s.count - 1) * s.dim / 2))


@statistic(
    "centre/centred_share",
    unit="share",
    source=ZHOU,
    null=lambda s: 1 / s.count,
    alias="centred_share",
    distribution=share_distribution,
)
def centred_share(s: Snapshot) -> float:
    """Share of the mean in the mean square, ||mu||² / E||h||²."""
    return geometry.centred_share(s.moments)


def rest_distribution(s: Snapshot) -> NullDistribution:
    """Draws of the mean and of the spread around it, dimension by dimension."""
    draw = generator(s.dim, s.count, 8)
    squared_mean = draw.chisquare(1, (DRAWS, s.dim))
    energies = squared_mean + draw.chisquare(s.count - 1, (DRAWS, s.dim))
    pairs = zip(torch.from_numpy(squared_mean), torch.from_numpy(energies), strict=True)
    return Simulated([share_of_rest(mean, energy) for mean, energy in pairs])


def share_of_rest(squared_mean: torch.Tensor, energies: torch.Tensor) -> float:
    """Returns `centred_share` without the `LEFT_OUT` dimensions of the largest ``energies``; NaN if none are left."""
    rest = energies.argsort(descending=True)[LEFT_OUT:]
    return ratio(float(squared_mean[rest].sum()), float(energies[rest].sum()))


@statistic(
    "centre/centred_share_without_5",
    unit="share",
    source="elementary; the same claim without the dimensions that energy/top_5 counts",
    null=lambda s: 1 / s.count if s.dim > LEFT_OUT else math.nan,
    distribution=rest_distribution,
)
def without_largest(s: Snapshot) -> float:
    """centre/centred_share without the 5 dimensions of the largest mean square.

    A few dimensions with a large mean make [CLS] both far from centred and concentrated. This tells whether it is far
    from centred beyond them. The null is exactly ``1/n``: the share of the mean in the mean square of a dimension is
    independent of that mean square.
    """
    return share_of_rest(s.mean.square(), s.moments.mean_square.cpu())


def norm_distribution(s: Snapshot) -> NullDistribution:
    """The norm of the mean is chi with d degrees of freedom over sqrt(n); the mean norm is all but constant."""
    from scipy.stats import chi

    return ClosedForm(chi(s.dim, scale=1 / (math.sqrt(s.count) * mean_chi(s.dim))))


@statistic(
    "centre/mean_to_norm",
    unit="ratio",
    source=ZHOU,
    null=lambda s: 1 / math.sqrt(s.count),
    distribution=norm_distribution,
)
def mean_to_norm(s: Snapshot) -> float:
    """Norm of the mean over the mean norm, ||mu|| / E||h||."""
    return ratio(float(s.mean.norm()), float(s.directions.sums["norm"]) / s.count)


def sign_distribution(s: Snapshot) -> NullDistribution:
    """The mean over the deviation is Student's t over sqrt(n - 1), in each dimension by itself."""
    from scipy.stats import t

    probability = 2 * t.sf(2 * math.sqrt(s.count - 1), s.count - 1)
    return Simulated(generator(s.dim, s.count, 9).binomial(s.dim, probability, DRAWS) / s.dim)


@statistic("centre/sign_constant", unit="share", source=ELEMENTARY, null=lambda s: 0.0, distribution=sign_distribution)
def sign_constant(s: Snapshot) -> float:
    """Share of dimensions whose mean is over two standard deviations from zero, |mu_j| > 2 s_j."""
    return float((s.mean.abs() > 2 * s.std).double().mean())
