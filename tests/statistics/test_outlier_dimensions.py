"""Outlier dimensions, and the overlap of two sets."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import stats

from clsnorm.statistics.outlier_dimensions import jaccard, outliers


def test_outliers_equal_those_of_scipy_s_z_scores() -> None:
    values = np.random.default_rng(0).standard_normal(50)
    values[[3, 40]] = 9, -8
    expected = np.flatnonzero(np.abs(stats.zscore(values)) > 3).tolist()
    assert outliers(torch.from_numpy(values)).tolist() == expected == [3, 40]


def test_jaccard_is_the_share_of_the_union() -> None:
    assert jaccard(torch.tensor([1, 2, 3]), torch.tensor([3, 4])) == 1 / 4
    assert math.isnan(jaccard(torch.tensor([]), torch.tensor([])))
