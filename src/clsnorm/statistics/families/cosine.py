"""Cosines between different rows, in closed form from the sum of their unit vectors."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.null_distribution import ClosedForm, NullDistribution
from clsnorm.statistics.statistic import largest, statistic


def mean_cosine(total: Tensor, m: float) -> float:
    """Returns the mean cosine of two different ones of m unit vectors, from their sum; NaN with fewer than two."""
    return (float(total.square().sum()) - m) / (m * (m - 1)) if m > 1 else math.nan


def chi_square_shaped(s: Snapshot, mean: float, deviation: float) -> NullDistribution:
    """A chi-squared variable with d degrees of freedom, moved and scaled: as ``||sum u||^2`` of noise, for many rows.

    Args:
        s: Gives d.
        mean: Mean of the result.
        deviation: Its standard deviation.
    """
    from scipy.stats import chi2

    scale = deviation / math.sqrt(2 * s.dim)
    return ClosedForm(chi2(s.dim, loc=mean - s.dim * scale, scale=scale))


def cosine_distribution(s: Snapshot) -> NullDistribution:
    """With its exact mean 0 and variance: the m (m - 1) / 2 cosines have variance 1/d and are uncorrelated."""
    return chi_square_shaped(s, 0.0, math.sqrt(2 / (s.dim * s.count * (s.count - 1))))


@statistic(
    "cosine/average",
    unit="cosine",
    source="Ethayarajh, 2019 (arXiv:1909.00512), who sampled pairs; here all of them, in closed form",
    null=lambda s: 0.0,
    alias="average_cosine",
    distribution=cosine_distribution,
)
def average_cosine(s: Snapshot) -> float:
    """Mean cosine of two different examples.

    ``(||sum u||^2 - m) / (m (m - 1))`` over the m rows that are not zero.
    """
    found = mean_cosine(s.directions.sums["unit"], s.count - float(s.directions.sums["zeros"]))
    return min(1.0, found) if not math.isnan(found) else found  # rounding may end above 1


def rogue_shares(s: Snapshot) -> Tensor:
    """Returns each dimension's part of the average cosine, ``((sum u)_j^2 - sum u_j^2) / (m (m - 1))``."""
    sums = s.directions.sums
    m = s.count - float(sums["zeros"])
    return (sums["unit"].square() - sums["unit_square"]).cpu() / max(m * (m - 1), 1.0)


def rogue(s: Snapshot, k: int) -> float:
    """Returns the ``k`` largest of `rogue_shares` over the average cosine; NaN where that is not positive."""
    parts, total = rogue_shares(s), average_cosine(s)
    return float(parts.topk(min(k, s.dim)).values.sum()) / total if total > 0 else math.nan


for k in (1, 2, 3):
    statistic(
        f"cosine/rogue_{k}",
        unit="share",
        source="Timkey and van Schijndel, 2021 (arXiv:2109.04404)",
        meaning=f"Part of the {largest(k, 'dimension')} in the average cosine.",
    )(partial(rogue, k=k))
