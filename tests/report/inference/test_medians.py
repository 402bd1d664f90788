from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from clsnorm.report.inference.medians import brown_forsythe, median_interval


def test_brown_forsythe_is_an_analysis_of_distances_to_the_median() -> None:
    random = np.random.default_rng(0)
    arms = [random.normal(0, 1, 9), random.normal(3, 2, 9)]
    distances = [np.abs(arm - np.median(arm)) for arm in arms]
    assert brown_forsythe(arms) == pytest.approx(stats.f_oneway(*distances).pvalue)


def test_two_seeds_or_no_spread_are_no_test() -> None:
    assert math.isnan(brown_forsythe([np.ones(2), np.ones(2)]))
    assert math.isnan(brown_forsythe([np.ones(5), np.ones(5)]))


@pytest.mark.parametrize("n", [6, 10, 20])
def test_the_median_is_held_as_often_as_stated(n: int) -> None:
    draws = np.random.default_rng(n).normal(size=(800, n))
    ends = np.array([median_interval(row) for row in draws])
    held = ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean()
    level = ends[0, 2]
    assert level >= 0.95
    assert held == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 800))


def test_five_values_are_too_few() -> None:
    assert math.isnan(median_interval(np.arange(5.0))[0])
