"""Drift and similarity of two sets of embeddings of the same examples, rows ``(n, d)`` in the same order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from clsnorm.errors import InputError
from clsnorm.statistics.class_scatter import COINCIDE


def linear_cka(first: Tensor, second: Tensor, *, unbiased: bool = False) -> float:
    r"""Returns the linear centred kernel alignment of ``(n, d)`` and ``(n, d')``, in [0, 1].

    ``||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F)`` with centred columns (Kornblith et al., 2019, arXiv:1905.00414); with
    ``unbiased`` each HSIC is Song et al.'s unbiased estimate (2012), as in Nguyen et al., 2021 (arXiv:2010.15327),
    which is 0 on average for unrelated sets and can be below 0. The ratio of the three estimates is not unbiased.

    Raises:
        InputError: If the sets have different numbers of rows, or fewer than four.
    """
    if len(first) != len(second) or len(first) < 4:
        raise InputError(f"Expected two sets of the same 4 or more rows, but got {len(first)} and {len(second)}")
    return float(cka_matrix([first, second], unbiased=unbiased)[0, 1])


def cka_matrix(sets: Sequence[Tensor], *, unbiased: bool = False) -> Tensor:
    """Returns `linear_cka` of each pair of k sets, ``(k, k)``; NaN where the rows of one are equal.

    Args:
        sets: ``(n, d_i)`` each, of the same examples in the same order.
        unbiased: As in `linear_cka`. The biased one is about ``d / (n + d)`` for unrelated sets.
    """
    centred = [_centred(rows) for rows in sets]
    hsic = torch.zeros(len(sets), len(sets), dtype=torch.float64)
    for i, x in enumerate(centred):
        for j, y in enumerate(centred[: i + 1]):
            hsic[i, j] = hsic[j, i] = _hsic(x, y, unbiased=unbiased)
    own = torch.where(hsic.diagonal() > 0, hsic.diagonal(), torch.nan).sqrt()
    return hsic / torch.outer(own, own)


def _hsic(x: Tensor, y: Tensor, *, unbiased: bool) -> Tensor:
    """``||X^T Y||_F^2`` of centred rows; or Song et al.'s estimate, whose Gram matrices have no diagonal.

    The Gram matrices ``K = X X^T`` and ``L`` are never formed: without their diagonals p and q the rows of centred ones
    sum to -p and -q, and ``tr(K L)`` is the former less ``p . q``.
    """
    found = (x.T @ y).square().sum()
    if not unbiased:
        return found
    n, p, q = len(x), x.square().sum(1), y.square().sum(1)
    rows, whole = p @ q, p.sum() * q.sum()
    return (found - rows + whole / ((n - 1) * (n - 2)) - 2 / (n - 2) * rows) / (n * (n - 3))


def procrustes(first: Tensor, second: Tensor) -> float:
    r"""Returns the Procrustes distance of two sets ``(n, d)``, in [0, 1]: what the best similarity map leaves.

    ``1 - ||X^T Y||_*^2`` with the nuclear norm, of X and Y centred and of Frobenius norm 1 (Schönemann, 1966): the
    disparity of ``scipy.spatial.procrustes``. NaN where the rows of a set are equal.

    Raises:
        InputError: If the shapes differ.
    """
    _require_one_shape(first, second)
    x, y = _centred(first), _centred(second)
    scale = float(x.norm() * y.norm())
    return max(0.0, 1 - (float(torch.linalg.svdvals(x.T @ y).sum()) / scale) ** 2) if scale > 0 else math.nan


def self_duality(means: Tensor, weight: Tensor) -> float:
    """Returns the distance of a head's rows from the class means, NC3: 0 if parallel, sqrt(2) if unrelated.

    ``|| W / ||W|| - M / ||M|| ||`` with Frobenius norms, both ``(C, d)`` and centred over the classes (Papyan, Han and
    Donoho, 2020, arXiv:2008.08186, who do not centre W; what its rows have in common cancels in the softmax). NaN where
    all class means or all rows are equal.
    """
    units = []
    for rows in (means, weight):
        offsets = _centred(rows)
        differ = float(offsets.norm()) > COINCIDE * float(rows.double().norm())
        units.append(offsets / offsets.norm() if differ else torch.full_like(offsets, torch.nan))
    return float((units[1] - units[0]).norm())


def drift(now: Tensor, start: Tensor) -> dict[str, float]:
    """Returns how far embeddings have moved from their start.

    - ``relative``: mean of ``||h - h_0|| / ||h_0||``.
    - ``cosine``: mean of ``cos(h, h_0)``.
    - ``mean``: `mean_drift` of these rows.

    Raises:
        InputError: If the shapes differ.
    """
    _require_one_shape(now, start)
    h, origin = now.double(), start.double()
    return {
        "relative": float(((h - origin).norm(dim=1) / origin.norm(dim=1)).mean()),
        "cosine": float(torch.nn.functional.cosine_similarity(h, origin).mean()),
        "mean": mean_drift(h.mean(0), origin.mean(0)),
    }


def mean_drift(mean: Tensor, start: Tensor) -> float:
    """Returns how far the mean has moved from its start, ``||mu - mu_0|| / ||mu_0||``."""
    return float((mean - start).norm() / start.norm())


def _centred(rows: Tensor) -> Tensor:
    rows = rows.double()
    return rows - rows.mean(0)


def _require_one_shape(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise InputError(f"Expected embeddings of one shape, but got {tuple(first.shape)} and {tuple(second.shape)}")


def subspace_overlap(first: Tensor, second: Tensor) -> float:
    """Returns ``||A^T B||_F^2 / k`` of two orthonormal bases ``(d, k)``: 1 the same subspace, ``k/d`` random ones."""
    return float((first.T @ second).square().sum()) / first.shape[1]
