"""Exact statistics of [CLS] embeddings: accumulators, and the numbers computed from them."""

from clsnorm.statistics.accumulators.accumulator import Accumulator
from clsnorm.statistics.accumulators.collection import Collection
from clsnorm.statistics.accumulators.moments import Moments
from clsnorm.statistics.accumulators.quantiles import Quantiles
from clsnorm.statistics.accumulators.radial_moments import RadialMoments
from clsnorm.statistics.accumulators.row_sample import hashed
from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.accumulators.snapshot_files import load, save
from clsnorm.statistics.catalogue import CATALOGUE, Value, describe, find
from clsnorm.statistics.geometry import centred_share, isoscore, participation_ratio
from clsnorm.statistics.similarity import (
    cka_matrix,
    drift,
    linear_cka,
    mean_drift,
    procrustes,
    self_duality,
    subspace_overlap,
)
from clsnorm.statistics.statistic import Statistic

__all__ = [
    "CATALOGUE",
    "Accumulator",
    "Collection",
    "Moments",
    "Quantiles",
    "RadialMoments",
    "Snapshot",
    "Statistic",
    "Value",
    "centred_share",
    "cka_matrix",
    "describe",
    "drift",
    "find",
    "hashed",
    "isoscore",
    "linear_cka",
    "load",
    "mean_drift",
    "participation_ratio",
    "procrustes",
    "save",
    "self_duality",
    "subspace_overlap",
]
