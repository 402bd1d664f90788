"""How two sets of embeddings of the same examples differ: drift and similarity. Rows ``(n, d)`` in the same order."""

from __future__ import annotations

import math

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
    x, y = x - x.mean(0), y - y.mean(0)
    scale = float((x.T @ x).norm() * (y.T @ y).norm())
    return float((x.T @ y).square().sum()) / scale if scale > 0 else math.nan


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
    if now.shape != start.shape:
        raise InputError(f"Expected embeddings of one shape, but got {tuple(now.shape)} and {tuple(start.shape)}")
    h, origin = now.double(), start.double()
    lengths, centre = origin.norm(dim=1), origin.mean(0)
    return {
        "relative": float(((h - origin).norm(dim=1) / lengths).mean()),
        "cosine": float(torch.nn.functional.cosine_similarity(h, origin).mean()),
        "mean": float((h.mean(0) - centre).norm() / centre.norm()),
    }


def subspace_overlap(first: Tensor, second: Tensor) -> float:
    """Returns ``||A^T B||_F^2 / k`` of two orthonormal bases ``(d, k)``: 1 the same subspace, ``k/d`` random ones."""
    return float((first.T @ second).square().sum()) / first.shape[1]
