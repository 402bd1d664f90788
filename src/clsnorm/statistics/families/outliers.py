"""Dimensions far from the others."""

from __future__ import annotations

from clsnorm.statistics import outlier_dimensions
from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.statistic import statistic


@statistic(
    "outliers/mean",
    unit="count",
    source="Kovaleva et al., 2021 (arXiv:2105.06990)",
    null=lambda s: 0.0027 * s.dim,
)
def by_mean(s: Snapshot) -> float:
    """Dimensions whose mean is over three standard deviations off the average over dimensions."""
    return float(len(outlier_dimensions.outliers(s.mean)))


@statistic(
    "outliers/variance",
    unit="count",
    source="Rudman et al., 2023 (arXiv:2310.17715)",
    null=lambda s: 0.0,
)
def by_variance(s: Snapshot) -> float:
    """Dimensions with over five times the mean variance."""
    return float((s.moments.variance > 5 * s.moments.variance.mean()).sum())
