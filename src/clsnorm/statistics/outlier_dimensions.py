"""Dimensions that are far off the others, by the published definitions, and how many of them two sets share."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def deviations_of(values: Tensor) -> Tensor:
    """Returns how many standard deviations each value is off the mean of all, ``(d,)``; 0 if all are equal."""
    spread = values.std(correction=0)
    distances = (values - values.mean()).abs()
    return distances / spread if spread > 0 else torch.zeros_like(distances)


def outliers(values: Tensor, *, deviations: float = 3.0) -> Tensor:
    """Returns the indices of dimensions whose value is over ``deviations`` standard deviations off the mean of all.

    The rule of Kovaleva et al., 2021 (arXiv:2105.06990), and Puccetti et al., 2022 (arXiv:2205.11380).
    """
    return torch.nonzero((values - values.mean()).abs() > deviations * values.std(correction=0)).flatten()


def extreme_shares(rows: Tensor, *, deviations: float = 3.0) -> Tensor:
    """Returns in which share of the rows ``(n, d)`` each dimension is extreme, ``(d,)``.

    It is in a row if its value is over ``deviations`` standard deviations off the mean of that row's values. NaN
    without rows. Luo et al., 2021 (arXiv:2011.04393), look for values that are the smallest or largest of most inputs.
    """
    centred = rows - rows.mean(1, keepdim=True)
    return (centred.abs() > deviations * rows.std(1, correction=0, keepdim=True)).to(rows.dtype).mean(0)


def jaccard(first: Tensor, second: Tensor) -> float:
    """Returns the size of the intersection of two sets over that of their union; NaN if both are empty."""
    ours, theirs = set(first.tolist()), set(second.tolist())
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else math.nan


def shared_by_chance(first: int, second: int, dim: int) -> list[float]:
    """Returns the probability that two random sets share 0, 1, 2, ... dimensions, up to the smaller of their sizes.

    One set is fixed and the other a random one of its size, out of ``dim`` dimensions: the hypergeometric distribution.
    """
    ways = math.comb(dim, second)
    return [math.comb(first, k) * math.comb(dim - first, second - k) / ways for k in range(min(first, second) + 1)]


def expected_jaccard(first: int, second: int, dim: int) -> float:
    """Returns the mean of `jaccard` for two random sets of these sizes; NaN if both are empty."""
    if first + second == 0:
        return math.nan
    return sum(p * k / (first + second - k) for k, p in enumerate(shared_by_chance(first, second, dim)))


def overlap_probability(shared: int, first: int, second: int, dim: int) -> float:
    """Returns the probability that two random sets of these sizes share at least ``shared`` dimensions."""
    return min(1.0, math.fsum(shared_by_chance(first, second, dim)[shared:]))
