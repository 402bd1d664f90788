"""Numbers without a closed form in moments, exact on a sample of rows ``(n, dim)``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import STILL, Snapshot
from clsnorm.statistics.families.cosine import chi_square_shaped, mean_cosine
from clsnorm.statistics.noise_draws import DRAWS, TINY, generator, row_draws
from clsnorm.statistics.null_distribution import NullDistribution, Simulated
from clsnorm.statistics.statistic import ELEMENTARY, statistic

DUPLICATE = 1e-5  # share of a row's norm


def rows_of_sample(s: Snapshot) -> Tensor:
    """Returns the sampled rows, ``(n, dim)``."""
    return s.sample.rows


def mean_exponential(rate: float, dim: int) -> float:
    """Returns ``E exp(rate t)`` of the cosine t of two uniform directions: ``0F1(d/2; rate^2 / 4)``, a series."""
    total = term = 1.0
    for k in range(1, 200):
        term *= rate**2 / 4 / (k * (dim / 2 + k - 1))
        total += term
    return total


def null_uniformity(s: Snapshot) -> float:
    r"""``log E exp(-2 ||u - v||^2)`` of two independent uniform directions, with ``||u - v||^2 = 2 - 2 t``."""
    return math.log(mean_exponential(4, s.dim)) - 4


def uniformity_distribution(s: Snapshot) -> NullDistribution:
    """Draws for small numbers, else with the variance of a mean over pairs, whose cosines are independent in pairs."""
    if s.count * s.dim <= TINY:
        return Simulated([uniformity(rows) for rows in row_draws(s)])
    m, mean = len(s.sample.rows), mean_exponential(4, s.dim)
    variance = (mean_exponential(8, s.dim) - mean**2) / (m * (m - 1) / 2)
    return chi_square_shaped(s, null_uniformity(s), math.sqrt(variance) / mean)


@statistic(
    "sample/uniformity",
    unit="nats",
    source="Wang and Isola, 2020 (arXiv:2005.10242)",
    of=rows_of_sample,
    null=null_uniformity,
    distribution=uniformity_distribution,
)
def uniformity(rows: Tensor) -> float:
    """Uniformity, log E exp(-2 ||u - v||²) over pairs of a sample of 2,048 rows.

    Over all pairs of different rows, directions only; at most 0.

    References:
        Wang and Isola, 2020, https://arxiv.org/abs/2005.10242 (``ssnl/align_uniform``).
    """
    rows = rows[rows.norm(dim=1) > 0]
    if len(rows) < 2:
        return math.nan
    distances = torch.pdist(torch.nn.functional.normalize(rows, dim=1)).square()
    return float((-2 * distances).logsumexp(0) - math.log(len(distances)))


def null_centred_cosine(s: Snapshot) -> float:
    """Mean centred cosine of noise, to first order in ``1/n``: centring correlates two rows by ``-1/(n - 1)``.

    Two normal d-vectors whose components correlate by r have a mean cosine of ``r (1 - 1/d) E||x|| E(1/||x||)``.
    """
    if s.dim < 2:
        return math.nan
    log_lengths = math.lgamma((s.dim + 1) / 2) + math.lgamma((s.dim - 1) / 2) - 2 * math.lgamma(s.dim / 2)
    return -(1 - 1 / s.dim) * math.exp(log_lengths) / (s.count - 1)


def centred_distribution(s: Snapshot) -> NullDistribution:
    """Draws of ``(Q - 1) / (m - 1)`` with Q the squared sum of the m unit vectors over m.

    A share ``1 - a`` of Q, ``a = (m - 1) / (n - 1)``, is chi-squared, as without centring. Of the rest centring leaves
    what unequal lengths give: their variance times a chi-squared variable.
    """
    if s.dim < 2:
        return Simulated([math.nan])
    n, m, draw = s.count, len(s.sample.rows), generator(s.dim, s.count, 13)
    a, first, second = (m - 1) / (n - 1), *draw.chisquare(s.dim, (2, DRAWS)) / s.dim
    uneven = (1 + (n - 1) * null_centred_cosine(s)) * draw.chisquare(n - 1, DRAWS) / (n - 1)
    return Simulated((((1 - a) * first + a * uneven * second) - 1) / (m - 1))


@statistic(
    "sample/centred_cosine",
    unit="cosine",
    source=ELEMENTARY,
    null=null_centred_cosine,
    distribution=centred_distribution,
)
def centred_cosine(s: Snapshot) -> float:
    """Mean cosine of two examples around the mean, on a sample of 2,048 rows.

    The mean is that of all rows. A row that equals the mean up to rounding has no direction and is left out.
    """
    centre = s.mean
    offsets = s.sample.rows - centre
    lengths = offsets.norm(dim=1)
    found = lengths > STILL * centre.norm()
    return mean_cosine((offsets[found] / lengths[found, None]).sum(0), int(found.sum()))


@statistic("sample/twonn", unit="count", source="Facco et al., 2017", of=rows_of_sample)
def twonn(rows: Tensor, *, discarded: float = 0.1) -> float:
    """Intrinsic dimension by two nearest neighbours, on a sample of 2,048 rows.

    TwoNN: from the ratio of the second to the first neighbour's distance. A line through the origin is fitted to
    ``-log(1 - F(mu))`` over ``log mu`` with ``F = i / N`` at the i-th smallest of N ratios, without the ``discarded``
    share of the largest, as ``scikit-dimension`` does. Only one of several duplicates is used: rows closer than 1e-5 of
    their norm, since the same text in another batch differs in float32's last digits.

    References:
        Facco et al., 2017, https://doi.org/10.1038/s41598-017-11873-y
    """
    if len(rows) < 3:
        return math.nan
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    single = ~(distances <= DUPLICATE * rows.norm(dim=1)).tril(-1).any(1)
    if int(single.sum()) < 3:
        return math.nan
    nearest = distances[single][:, single].topk(3, largest=False).values
    ratios = (nearest[:, 2] / nearest[:, 1]).sort().values
    kept = ratios[: int(len(ratios) * (1 - discarded))].log()
    if not len(kept) or float(kept.square().sum()) == 0:
        return math.nan
    empirical = torch.arange(1, len(kept) + 1, dtype=kept.dtype) / len(ratios)
    return float((kept * -(1 - empirical).log()).sum() / kept.square().sum())
