"""Exact statistics of [CLS] embeddings: accumulators, and functions from them to numbers."""

from clsnorm.statistics.geometry import centred_share, isoscore, participation_ratio, top_energy_share
from clsnorm.statistics.moments import Moments

__all__ = ["Moments", "centred_share", "isoscore", "participation_ratio", "top_energy_share"]
