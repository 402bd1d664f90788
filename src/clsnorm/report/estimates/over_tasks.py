"""Summaries over runs and data sets (Agarwal et al., 2021), and ranks of arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

Array = np.ndarray


def interquartile_mean(scores: Array) -> float:
    """Returns the mean without the lowest and the highest quarter of all runs. It hides failed runs by design."""
    return float(stats.trim_mean(np.ravel(scores), 0.25))


def improvement_probability(arm: Sequence[Array], baseline: Sequence[Array]) -> float:
    """Returns the probability that a run of the arm beats one of the baseline, mean over data sets.

    The share of pairs of runs on one data set in which the arm is better; ties count by half (Mann and Whitney).
    """
    found = []
    for mine, other in zip(arm, baseline, strict=True):
        ahead = np.sign(np.subtract.outer(np.asarray(mine), np.asarray(other)))
        found.append(float(((ahead + 1) / 2).mean()))
    return float(np.mean(found))


def performance_profile(scores: Array, thresholds: Array) -> Array:
    """Returns the share of runs that score above each threshold."""
    return (np.ravel(scores)[:, None] > np.asarray(thresholds)[None, :]).mean(0)


def mean_ranks(scores: Mapping[str, Array]) -> dict[str, tuple[float, float, float]]:
    """Returns the mean rank of each arm over data sets, and its least and largest with one data set left out.

    Args:
        scores: Mean score of each arm on each data set, ``(K,)``, larger is better. Rank 1 is the best arm.
    """
    names = list(scores)
    ranks = stats.rankdata(-np.stack([scores[name] for name in names]), axis=0)  # (arms, K)
    k = ranks.shape[1]
    whole = ranks.mean(1)
    left_out = (ranks.sum(1, keepdims=True) - ranks) / (k - 1) if k > 1 else ranks
    return {name: (float(whole[i]), float(left_out[i].min()), float(left_out[i].max())) for i, name in enumerate(names)}
