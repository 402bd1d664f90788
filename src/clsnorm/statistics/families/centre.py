"""How far embeddings are from centred on the origin."""

from __future__ import annotations

import math

from clsnorm.statistics import geometry
from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.ratios import ratio
from clsnorm.statistics.statistic import ELEMENTARY, statistic

ZHOU = "Zhou, Du and Ren, 2019 (arXiv:1911.03918): the claim"


@statistic("centre/centred_share", unit="share", source=ZHOU, null=lambda s: 1 / s.count, alias="centred_share")
def centred_share(s: Snapshot) -> float:
    """Share of the mean in the mean square, ||mu||² / E||h||²."""
    return geometry.centred_share(s.moments)


@statistic("centre/mean_to_norm", unit="ratio", source=ZHOU, null=lambda s: 1 / math.sqrt(s.count))
def mean_to_norm(s: Snapshot) -> float:
    """Norm of the mean over the mean norm, ||mu|| / E||h||."""
    return ratio(float(s.mean.norm()), float(s.directions.sums["norm"]) / s.count)


@statistic("centre/sign_constant", unit="share", source=ELEMENTARY, null=lambda s: 0.0)
def sign_constant(s: Snapshot) -> float:
    """Share of dimensions whose mean is over two standard deviations from zero, |mu_j| > 2 s_j."""
    return float((s.mean.abs() > 2 * s.std).double().mean())
