"""Numbers of single dimensions: how unequal, how heavy-tailed, how correlated they are."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def top_share(values: Tensor, k: int) -> float:
    """Returns the share of the ``k`` largest of non-negative ``values`` in their sum."""
    total = float(values.sum())
    return float(values.topk(min(k, len(values))).values.sum()) / total if total > 0 else math.nan


def hoyer(values: Tensor) -> float:
    r"""Returns Hoyer's sparseness ``(\sqrt d - ||e||_1 / ||e||_2) / (\sqrt d - 1)``: 0 all equal, 1 one alone.

    References:
        Hoyer, 2004, Journal of Machine Learning Research 5.

    Example:
        >>> hoyer(torch.tensor([0.0, 3.0, 0.0, 0.0])), hoyer(torch.ones(4))
        (1.0, 0.0)
    """
    root, length = math.sqrt(len(values)), float(values.norm())
    if len(values) == 1 or length == 0:
        return math.nan
    return (root - float(values.abs().sum()) / length) / (root - 1)


def off_diagonal_correlations(covariance: Tensor) -> Tensor:
    """Returns the correlations of all pairs of dimensions i < j that both vary."""
    spread = covariance.diagonal().sqrt()
    varies = spread > 0
    scaled = covariance[varies][:, varies] / torch.outer(spread[varies], spread[varies])
    rows, columns = torch.triu_indices(len(scaled), len(scaled), offset=1)
    return scaled[rows, columns]


def outliers(values: Tensor, *, deviations: float = 3.0) -> Tensor:
    """Returns the numbers of dimensions whose value is over ``deviations`` standard deviations off the mean of all.

    The rule of Kovaleva et al., 2021 (arXiv:2105.06990), and Puccetti et al., 2022 (arXiv:2205.11380).
    """
    return torch.nonzero((values - values.mean()).abs() > deviations * values.std(correction=0)).flatten()


def jaccard(first: Tensor, second: Tensor) -> float:
    """Returns the share of two sets' union that both have: whether outliers persist; NaN if both are empty."""
    ours, theirs = set(first.tolist()), set(second.tolist())
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else math.nan
