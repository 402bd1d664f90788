"""Numbers without a closed form in moments, exact on a sample of rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

DUPLICATE = 1e-5  # share of a row's norm


def uniformity(rows: Tensor) -> float:
    """Returns ``log E exp(-2 ||u - v||^2)`` over all pairs of different rows, directions only; at most 0.

    References:
        Wang and Isola, 2020, https://arxiv.org/abs/2005.10242 (``ssnl/align_uniform``).
    """
    rows = rows[rows.norm(dim=1) > 0]
    if len(rows) < 2:
        return math.nan
    distances = torch.pdist(torch.nn.functional.normalize(rows, dim=1)).square()
    return float((-2 * distances).logsumexp(0) - math.log(len(distances)))


def twonn(rows: Tensor, *, discarded: float = 0.1) -> float:
    """Returns the intrinsic dimension by TwoNN: from the ratio of the second to the first neighbour's distance.

    A line through the origin is fitted to ``-log(1 - F(mu))`` over ``log mu`` with ``F = i / N`` at the i-th smallest
    of N ratios, without the ``discarded`` share of the largest, as ``scikit-dimension`` does. Of duplicates one is
    kept: rows within 1e-5 of their norm, since the same text in another batch differs in float32's last digits.

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


def partition_isotropy(rows: Tensor) -> float:
    """Returns ``min_c Z(c) / max_c Z(c)`` with ``Z(c) = sum_i exp(c . h_i)`` over unit eigenvectors c of ``H^T H``.

    Both signs of an eigenvector are taken, since either is one. In logarithms: exponents of [CLS] embeddings leave the
    range of floats. Several public versions iterate the rows of the matrix of eigenvectors instead of its columns.

    References:
        Mu and Viswanath, 2018, https://arxiv.org/abs/1702.01417, after Arora et al., 2016.
    """
    if not len(rows):
        return math.nan
    vectors = torch.linalg.eigh(rows.T @ rows).eigenvectors
    projected = rows @ torch.cat([vectors, -vectors], dim=1)
    partition = projected.logsumexp(0)
    return float((partition.min() - partition.max()).exp())
