"""How long the rows are."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.ratios import ratio
from clsnorm.statistics.statistic import ELEMENTARY, statistic


@statistic("norm/mean", unit="norm", source=ELEMENTARY)
def mean(s: Snapshot) -> float:
    """Mean norm."""
    return float(s.directions.sums["norm"]) / s.count


@statistic("norm/mean_1", unit="norm", source=ELEMENTARY)
def mean_1(s: Snapshot) -> float:
    """Mean 1-norm: the most that an Adam step of size 1 moves a logit."""
    return float(s.directions.sums["norm_1"]) / s.count


@statistic("norm/variation", unit="ratio", source=ELEMENTARY, null=lambda s: 1 / math.sqrt(2 * s.dim))
def variation(s: Snapshot) -> float:
    """Coefficient of variation of the norm."""
    return ratio(float(s.norms.values.std()), float(s.norms.values.mean()))


def percentile(s: Snapshot, percent: float) -> float:
    """Returns a percentile of the norms of all rows, exact, interpolated linearly."""
    return float(np.percentile(s.norms.values, percent))


for percent in (1, 5, 50, 95, 99):
    statistic(
        f"norm/p{percent:02d}",
        unit="norm",
        source=ELEMENTARY,
        meaning=f"{percent} % of the norms are below it, exactly.",
    )(partial(percentile, percent=percent))
