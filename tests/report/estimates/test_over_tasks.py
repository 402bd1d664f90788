from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clsnorm.report.estimates import over_tasks

random = np.random.default_rng(0)


def test_the_interquartile_mean_leaves_a_quarter_out_at_each_end() -> None:
    scores = random.normal(size=(4, 5))
    assert over_tasks.interquartile_mean(scores) == pytest.approx(np.sort(scores.ravel())[5:15].mean())


def test_the_probability_of_improvement_is_mann_and_whitneys() -> None:
    arm, other = random.normal(0.5, 1, (2, 6)), random.normal(size=(2, 8))
    u = [stats.mannwhitneyu(a, b).statistic / (6 * 8) for a, b in zip(arm, other, strict=True)]
    assert over_tasks.improvement_probability(list(arm), list(other)) == pytest.approx(np.mean(u))
    assert over_tasks.improvement_probability([arm[0]], [arm[0]]) == 0.5


def test_the_profile_falls_from_one_to_zero() -> None:
    scores = random.uniform(size=20)
    profile = over_tasks.performance_profile(scores, np.array([-1.0, 0.5, 2.0]))
    assert profile.tolist() == [1.0, (scores > 0.5).mean(), 0.0]


def test_ranks_are_means_over_sets_and_their_range_without_one() -> None:
    found = over_tasks.mean_ranks({"a": np.array([3.0, 3.0, 1.0]), "b": np.array([2.0, 2.0, 2.0])})
    assert found["a"] == pytest.approx((4 / 3, 1.0, 1.5))
    assert found["b"] == pytest.approx((5 / 3, 1.5, 2.0))
