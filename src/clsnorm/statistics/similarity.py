"""How two sets of embeddings of the same examples differ: drift and similarity. Rows ``(n, d)`` in the same order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from clsnorm.errors import InputError


def linear_cka(first: Tensor, second: Tensor, *, unbiased: bool = False) -> float:
    r"""Returns the linear centred kernel alignment of ``(n, d)`` and ``(n, d')``, in [0, 1].

    ``||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F)`` with centred columns (Kornblith et al., 2019, arXiv:1905.00414); with
    ``unbiased`` each HSIC is Song et al.'s unbiased estimate (2012), as in Nguyen et al., 2021 (arXiv:2010.15327),
    which is 0 on average for unrelated sets and can be below 0.

    Raises:
        InputError: If the sets have different numbers of rows, or fewer than four.
    """
    if len(first) != len(second) or len(first) < 4:
        raise InputError(f"Expected two sets of the same 4 or more rows, but got {len(first)} and {len(second)}")
    x, y = first.double(), second.double()
    if unbiased:
        grams = [_hollow(rows @ rows.T) for rows in (x, y)]
        cross, own, other = (_unbiased_hsic(a, b) for a, b in ((grams[0], grams[1]), (grams[0],) * 2, (grams[1],) * 2))
        return cross / math.sqrt(own * other) if own > 0 and other > 0 else math.nan
    return float(cka_matrix([x, y])[0, 1])


def cka_matrix(sets: Sequence[Tensor]) -> Tensor:
    """Returns the linear centred kernel alignment of each pair of k sets of rows, ``(k, k)``; NaN where rows are equal.

    Each set is ``(n, d_i)``, of the same examples in the same order; the measure is that of `linear_cka`.
    """
    centred = [rows.double() - rows.double().mean(0) for rows in sets]
    cross = torch.zeros(len(sets), len(sets), dtype=torch.float64)
    for i, x in enumerate(centred):
        for j, y in enumerate(centred[: i + 1]):
            cross[i, j] = cross[j, i] = (x.T @ y).square().sum()
    scale = cross.diagonal().sqrt()
    return cross / torch.outer(scale, scale)


def procrustes(first: Tensor, second: Tensor) -> float:
    r"""Returns what no shift, rotation, reflection and size mends of the difference of two sets ``(n, d)``, in [0, 1].

    ``1 - ||X^T Y||_*^2`` with the nuclear norm, of X and Y centred and of Frobenius norm 1 (Schönemann, 1966): the
    disparity of ``scipy.spatial.procrustes``. NaN where the rows of a set are equal.

    Raises:
        InputError: If the shapes differ.
    """
    _require_one_shape(first, second)
    x, y = (rows.double() - rows.double().mean(0) for rows in (first, second))
    scale = float(x.norm() * y.norm())
    return max(0.0, 1 - (float(torch.linalg.svdvals(x.T @ y).sum()) / scale) ** 2) if scale > 0 else math.nan


def self_duality(means: Tensor, weight: Tensor) -> float:
    """Returns how far a head's rows are from the class means, NC3: 0 the same directions, sqrt(2) unrelated ones.

    ``|| W / ||W|| - M / ||M|| ||`` with Frobenius norms, both ``(C, d)`` and centred over the classes (Papyan, Han and
    Donoho, 2020, arXiv:2008.08186, who leave W as it is; what is common to its rows moves no softmax). NaN where all
    class means or all rows are equal.
    """
    units = []
    for rows in (means.double(), weight.double()):
        offsets = rows - rows.mean(0)
        units.append(offsets / offsets.norm())
    return float((units[1] - units[0]).norm())


def _hollow(gram: Tensor) -> Tensor:
    gram = gram.clone()
    gram.fill_diagonal_(0)
    return gram


def _unbiased_hsic(a: Tensor, b: Tensor) -> float:
    n = len(a)
    middle = a.sum() * b.sum() / ((n - 1) * (n - 2))
    cross = 2 / (n - 2) * (a.sum(0) @ b.sum(0))
    return float((a * b).sum() + middle - cross) / (n * (n - 3))


def drift(now: Tensor, start: Tensor) -> dict[str, float]:
    """Returns how far embeddings have moved from where they started.

    - ``relative``: mean of ``||h - h_0|| / ||h_0||``.
    - ``cosine``: mean of ``cos(h, h_0)``.
    - ``mean``: ``||mu - mu_0|| / ||mu_0||``.

    Raises:
        InputError: If the shapes differ.
    """
    _require_one_shape(now, start)
    h, origin = now.double(), start.double()
    lengths, centre = origin.norm(dim=1), origin.mean(0)
    return {
        "relative": float(((h - origin).norm(dim=1) / lengths).mean()),
        "cosine": float(torch.nn.functional.cosine_similarity(h, origin).mean()),
        "mean": float((h.mean(0) - centre).norm() / centre.norm()),
    }


def _require_one_shape(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise InputError(f"Expected embeddings of one shape, but got {tuple(first.shape)} and {tuple(second.shape)}")


def subspace_overlap(first: Tensor, second: Tensor) -> float:
    """Returns ``||A^T B||_F^2 / k`` of two orthonormal bases ``(d, k)``: 1 the same subspace, ``k/d`` random ones."""
    return float((first.T @ second).square().sum()) / first.shape[1]
