"""Dimensions whose value is far off those of the others, and how many of them two sets share."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def outliers(values: Tensor, *, deviations: float = 3.0) -> Tensor:
    """Returns the indices of dimensions whose value is over ``deviations`` standard deviations off the mean of all.

    The rule of Kovaleva et al., 2021 (arXiv:2105.06990), and Puccetti et al., 2022 (arXiv:2205.11380).
    """
    return torch.nonzero((values - values.mean()).abs() > deviations * values.std(correction=0)).flatten()


def jaccard(first: Tensor, second: Tensor) -> float:
    """Returns the size of the intersection of two sets over that of their union; NaN if both are empty."""
    ours, theirs = set(first.tolist()), set(second.tolist())
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else math.nan
