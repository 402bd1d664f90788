"""Isotropy by the partition function of Arora et al., 2016, ``Z(c) = sum_i exp(c . h_i)``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.noise import mean_chi
from clsnorm.statistics.noise_draws import TINY, pulls, row_draws, wishart_spectra
from clsnorm.statistics.null_distribution import NullDistribution, Simulated
from clsnorm.statistics.statistic import statistic

MU = "Mu and Viswanath, 2018 (arXiv:1702.01417)"


@statistic(
    "isotropy/partition",
    unit="share",
    source=MU,
    of=lambda s: s.sample.rows,
    meaning="Smallest over largest value of the partition function, min Z / max Z, on a sample of 2,048 rows; as "
    "published, so it falls as the rows get longer.",
)
def partition_isotropy(rows: Tensor) -> float:
    """Smallest over largest value of the partition function, min Z / max Z, on a sample of 2,048 rows.

    ``min_c Z(c) / max_c Z(c)`` with ``Z(c) = sum_i exp(c . h_i)`` over unit eigenvectors c of ``H^T H``. Both signs of
    an eigenvector are taken, since either is one. Computed in logarithms, since exp of a [CLS] embedding's products
    overflows. Several public versions iterate the rows of the matrix of eigenvectors instead of its columns.

    References:
        Mu and Viswanath, 2018, https://arxiv.org/abs/1702.01417, after Arora et al., 2016.
    """
    if not len(rows):
        return math.nan
    vectors = torch.linalg.eigh(rows.T @ rows).eigenvectors
    projected = rows @ torch.cat([vectors, -vectors], dim=1)
    partition = projected.logsumexp(0)
    return float((partition.min() - partition.max()).exp())


@statistic(
    "isotropy/second_order",
    unit="share",
    source=MU,
    meaning="Second-order form of isotropy/partition, in closed form; 0 where that is negative; depends on the length "
    "of the rows, too.",
)
def second_order_isotropy(s: Snapshot) -> float:
    """Second-order form of isotropy/partition, in closed form; 0 where that is negative.

    ``(n - ||n mu|| + l_min n / 2) / (n + ||n mu|| + l_max n / 2)`` with eigenvalues l of ``E[h h^T]``.
    """
    return second_order(s.second_moment_eigenvalues, float(s.mean.norm()))


def second_order(values: Tensor, pull: float) -> float:
    """Returns the second-order form from the eigenvalues of ``E[h h^T]`` and the norm of the mean."""
    return max(0.0, 1 - pull + float(values[-1]) / 2) / (1 + pull + float(values[0]) / 2)


def mean_norm(s: Snapshot) -> float:
    """Returns the mean norm of all rows; NaN if it is zero."""
    return float(s.directions.sums["norm"]) / s.count or math.nan


def unit_draws(s: Snapshot, count: int) -> tuple[Tensor, Tensor]:
    """Returns draws for noise of mean norm 1: eigenvalues of ``E[h h^T]`` and the mean along each eigenvector.

    Both have shape ``(R, dim)``.
    """
    values = torch.from_numpy(wishart_spectra(s.dim, count)) / count / mean_chi(s.dim) ** 2
    return values, values.sqrt() * torch.from_numpy(pulls(s.dim, count))


def partition_distribution(s: Snapshot) -> NullDistribution:
    """Draws of rows for small numbers, else of ``Z(c) / n = exp(l / 2) + c . mu``, but for terms of order d^(-3/2)."""
    if s.count * s.dim <= TINY:
        return Simulated([partition_isotropy(rows / rows.norm(dim=1).mean()) for rows in row_draws(s)])
    values, along = unit_draws(s, len(s.sample.rows))
    rank = min(s.dim, len(s.sample.rows))
    least = ((values / 2).exp() - along.abs()).amin(1)
    most = ((values / 2).exp() + along.abs())[:, :rank].amax(1)
    return Simulated(least / most)


@statistic(
    "isotropy/partition_norm_1",
    unit="share",
    source=MU + ", at a stated norm",
    distribution=partition_distribution,
)
def partition_at_norm_1(s: Snapshot) -> float:
    """isotropy/partition of the rows over their mean norm, so that layers, h and z compare.

    The published number is a function of scale: isotropic normal rows of a mean norm of 20 have a smaller one than
    rows of norm 1 that all point one way.
    """
    scale = mean_norm(s)
    return math.nan if math.isnan(scale) else partition_isotropy(s.sample.rows / scale)


def second_order_distribution(s: Snapshot) -> NullDistribution:
    """Draws of the eigenvalues and of the mean."""
    draws, along = unit_draws(s, s.count)
    return Simulated([second_order(values, float(pull)) for values, pull in zip(draws, along.norm(dim=1), strict=True)])


@statistic(
    "isotropy/second_order_norm_1",
    unit="share",
    source=MU + ", at a stated norm",
    distribution=second_order_distribution,
)
def second_order_at_norm_1(s: Snapshot) -> float:
    """isotropy/second_order of the rows over their mean norm."""
    scale = mean_norm(s)
    return second_order(s.second_moment_eigenvalues / scale**2, float(s.mean.norm()) / scale)
