"""Isotropy by the partition function of Arora et al., 2016, ``Z(c) = sum_i exp(c . h_i)``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.statistic import statistic

MU = "Mu and Viswanath, 2018 (arXiv:1702.01417)"


@statistic("isotropy/partition", unit="share", source=MU, of=lambda s: s.sample.rows)
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


@statistic("isotropy/second_order", unit="share", source=MU)
def second_order_isotropy(s: Snapshot) -> float:
    """Second-order form of isotropy/partition, in closed form; 0 where that is negative.

    ``(n - ||n mu|| + l_min n / 2) / (n + ||n mu|| + l_max n / 2)`` with eigenvalues l of ``E[h h^T]``.
    """
    values, pull = s.second_moment_eigenvalues, float(s.mean.norm())
    return max(0.0, 1 - pull + float(values[-1]) / 2) / (1 + pull + float(values[0]) / 2)
