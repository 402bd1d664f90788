"""How unequally the dimensions vary."""

from __future__ import annotations

import math

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.noise import noise_energies
from clsnorm.statistics.ratios import ratio, top_share
from clsnorm.statistics.statistic import ELEMENTARY, statistic

ISOBN = "IsoBN, Zhou, Lin and Ren, 2021 (arXiv:2005.02178)"


@statistic("spread/top_5", unit="share", source=ELEMENTARY, null=lambda s: top_share(noise_energies(s), 5))
def top_5(s: Snapshot) -> float:
    """Share of the 5 largest dimensions in the variance."""
    return top_share(s.moments.variance.cpu(), 5)


def null_std_range(s: Snapshot) -> float:
    """Root of the ratio of the largest to the smallest mean square of noise."""
    return math.sqrt(float(noise_energies(s)[0] / noise_energies(s)[-1]))


@statistic("spread/std_range", unit="ratio", source=ISOBN, null=null_std_range)
def std_range(s: Snapshot) -> float:
    """Largest over smallest standard deviation of a dimension; infinite if one never changes."""
    spread = s.std
    return float(spread.max() / spread.min()) if float(spread.min()) > 0 else math.inf


@statistic("spread/std_variation", unit="ratio", source=ISOBN, null=lambda s: 1 / math.sqrt(2 * s.count))
def std_variation(s: Snapshot) -> float:
    """Coefficient of variation of the standard deviations."""
    spread = s.std
    return ratio(float(spread.std(correction=0)), float(spread.mean()))


def null_log_std_range(s: Snapshot) -> float:
    """Distance of the 1st and 99th percentile of log standard deviations of noise."""
    logs = noise_energies(s).sqrt().log()
    return float(logs.quantile(0.99) - logs.quantile(0.01))


@statistic("spread/log_std_range", unit="nats", source=ISOBN, null=null_log_std_range)
def log_std_range(s: Snapshot) -> float:
    """Distance of the 1st and 99th percentile of log standard deviations, of the dimensions that vary."""
    spread = s.std
    logs = spread[spread > 0].log()
    low, high = (float(logs.quantile(share)) for share in (0.01, 0.99)) if len(logs) else (math.nan, math.nan)
    return high - low


@statistic("spread/dead", unit="count", source=ELEMENTARY, null=lambda s: 0.0)
def dead(s: Snapshot) -> float:
    """Dimensions that never change.

    `Snapshot.covariance` defines what counts as no change.
    """
    return float((s.std == 0).sum())
