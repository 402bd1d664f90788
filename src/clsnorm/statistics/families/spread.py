"""How unequally the dimensions vary."""

from __future__ import annotations

import math

from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.noise import chi_variation, noise_spreads
from clsnorm.statistics.noise_draws import spread_draws
from clsnorm.statistics.null_distribution import Simulated
from clsnorm.statistics.ratios import ratio, top_share
from clsnorm.statistics.statistic import ELEMENTARY, statistic

ISOBN = "IsoBN, Zhou, Lin and Ren, 2021 (arXiv:2005.02178)"


def deviations(s: Snapshot) -> Tensor:
    """Returns the standard deviations of the dimensions, ``(dim,)``."""
    return s.std


@statistic(
    "spread/top_5",
    unit="share",
    source=ELEMENTARY,
    null=lambda s: top_share(noise_spreads(s).square(), 5),
    distribution=lambda s: Simulated([top_share(spread.square(), 5) for spread in spread_draws(s)]),
)
def top_5(s: Snapshot) -> float:
    """Share of the 5 largest dimensions in the variance."""
    return top_share(s.moments.variance.cpu(), 5)


@statistic("spread/std_range", unit="ratio", source=ISOBN, of=deviations, null_of=noise_spreads, drawn_of=spread_draws)
def std_range(spread: Tensor) -> float:
    """Largest over smallest standard deviation of a dimension; infinite if one never changes."""
    return float(spread.max() / spread.min()) if float(spread.min()) > 0 else math.inf


@statistic(
    "spread/std_variation",
    unit="ratio",
    source=ISOBN,
    of=deviations,
    null=lambda s: chi_variation(s.count - 1) * math.sqrt((s.dim - 1) / s.dim),
    drawn_of=spread_draws,
)
def std_variation(spread: Tensor) -> float:
    """Coefficient of variation of the standard deviations."""
    return ratio(float(spread.std(correction=0)), float(spread.mean()))


@statistic(
    "spread/log_std_range", unit="nats", source=ISOBN, of=deviations, null_of=noise_spreads, drawn_of=spread_draws
)
def log_std_range(spread: Tensor) -> float:
    """Distance of the 1st and 99th percentile of log standard deviations, of the dimensions that vary."""
    logs = spread[spread > 0].log()
    low, high = (float(logs.quantile(share)) for share in (0.01, 0.99)) if len(logs) else (math.nan, math.nan)
    return high - low


@statistic("spread/dead", unit="count", source=ELEMENTARY, null=lambda s: 0.0, distribution=lambda s: Simulated([0.0]))
def dead(s: Snapshot) -> float:
    """Dimensions that never change.

    `Snapshot.covariance` defines what counts as no change.
    """
    return float((s.std == 0).sum())
