"""How strongly pairs of dimensions correlate."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.families.spread import ISOBN
from clsnorm.statistics.statistic import statistic


def correlations(s: Snapshot) -> Tensor:
    """Returns the correlations of all pairs of dimensions i < j that both vary."""
    covariance = s.covariance
    spread = covariance.diagonal().sqrt()
    varies = spread > 0
    scaled = covariance[varies][:, varies] / torch.outer(spread[varies], spread[varies])
    rows, columns = torch.triu_indices(len(scaled), len(scaled), offset=1)
    return scaled[rows, columns]


@statistic(
    "correlation/mean_absolute",
    unit="correlation",
    source=ISOBN,
    of=correlations,
    null=lambda s: math.sqrt(2 / (math.pi * (s.count - 1))),
)
def mean_absolute(pairs: Tensor) -> float:
    """Mean |r| over all pairs of dimensions."""
    return float(pairs.abs().mean())


@statistic("correlation/mean_square", unit="share", source=ISOBN, of=correlations, null=lambda s: 1 / (s.count - 1))
def mean_square(pairs: Tensor) -> float:
    """Mean r² over all pairs of dimensions."""
    return float(pairs.square().mean())
