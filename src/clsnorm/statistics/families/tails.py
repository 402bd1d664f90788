"""How heavy and how skewed the tails of single dimensions are, and of the dimensions of one row."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.ratios import ratio
from clsnorm.statistics.statistic import ELEMENTARY, statistic


def kurtoses(s: Snapshot) -> Tensor:
    """Returns the excess kurtosis of each dimension; NaN where one is constant."""
    second, _, fourth = s.tails.central()
    return (torch.where(second > 0, fourth / second.square(), torch.nan) - 3).cpu()


def skewnesses(s: Snapshot) -> Tensor:
    """Returns the skewness of each dimension; NaN where one is constant."""
    second, third, _ = s.tails.central()
    return torch.where(second > 0, third / second.pow(1.5), torch.nan).cpu()


@statistic("tails/kurtosis", unit="ratio", source=ELEMENTARY, null=lambda s: -6 / (s.count + 1))
def kurtosis(s: Snapshot) -> float:
    """Mean excess kurtosis of a dimension."""
    return float(kurtoses(s).nanmean())


@statistic("tails/kurtosis_max", unit="ratio", source=ELEMENTARY)
def kurtosis_max(s: Snapshot) -> float:
    """Largest excess kurtosis of a dimension."""
    found = kurtoses(s)
    found = found[found.isfinite()]
    return float(found.max()) if len(found) else math.nan


@statistic("tails/skewness", unit="ratio", source=ELEMENTARY, null=lambda s: math.sqrt(12 / (math.pi * s.count)))
def skewness(s: Snapshot) -> float:
    """Mean absolute skewness of a dimension."""
    return float(skewnesses(s).abs().nanmean())


@statistic(
    "tails/kurtosis_across", unit="ratio", source="Composer's ActivationMonitor", null=lambda s: -6 / (s.dim + 1)
)
def kurtosis_across(s: Snapshot) -> float:
    """Mean excess kurtosis over the dimensions of one embedding.

    Rows whose dimensions are all equal are left out.
    """
    sums = s.directions.sums
    return ratio(float(sums["kurtosis"]), s.count - float(sums["flat"])) - 3
