"""Rank correlations against SciPy, and the coverage of their intervals by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from clsnorm.report.inference.rank_correlation import LEAST, RankCorrelation, of_points, within_groups


def test_it_is_spearmans_with_ties() -> None:
    x, y = np.array([1.0, 2, 2, 4, 7, np.nan]), np.array([0.1, 0.5, 0.2, 0.2, 3, 1.0])
    found = of_points(x, y)
    assert isinstance(found, RankCorrelation)
    assert found.rho == pytest.approx(stats.spearmanr(x[:5], y[:5]).statistic)
    assert found.points == 5


def test_p_is_exact_for_few_points() -> None:
    x, y = np.arange(6.0), np.array([2.0, 0, 1, 5, 3, 4])

    def statistic(other: np.ndarray) -> float:
        return stats.spearmanr(x, other).statistic

    expected = stats.permutation_test((y,), statistic, permutation_type="pairings", n_resamples=np.inf).pvalue
    assert of_points(x, y).p == pytest.approx(expected)


def test_few_points_and_constants_have_no_interval() -> None:
    few = of_points(np.arange(LEAST - 1.0), np.arange(LEAST - 1.0))
    assert few.rho == 1.0
    assert math.isnan(few.low)
    assert math.isnan(of_points(np.ones(9), np.arange(9.0)).rho)
    assert math.isnan(within_groups(np.arange(4.0), np.arange(4.0), "aabb", "xyxy").low)


@pytest.mark.parametrize("points", [6, 10, 30])
@pytest.mark.parametrize("r", [0.0, 0.7])
def test_the_interval_covers(points: int, r: float) -> None:
    random = np.random.default_rng(points)
    truth = 6 / np.pi * math.asin(r / 2)  # Spearman's of a normal pair
    held, tries = 0, 600
    for _ in range(tries):
        x = random.normal(size=points)
        y = r * x + math.sqrt(1 - r**2) * random.normal(size=points)
        ranks = stats.rankdata(x), stats.rankdata(y)
        rho = np.corrcoef(*ranks)[0, 1]
        half = stats.norm.ppf(0.975) * math.sqrt((1 + rho**2 / 2) / (points - 3))
        z = math.atanh(min(max(rho, -1 + 1e-9), 1 - 1e-9))
        held += math.tanh(z - half) <= truth <= math.tanh(z + half)
    assert 0.93 <= held / tries <= 0.995
    found = of_points(x, y)
    assert (found.low, found.high) == pytest.approx((math.tanh(z - half), math.tanh(z + half)), rel=1e-4)


def grouped(random: np.random.Generator, seeds: int, link: float) -> RankCorrelation:
    """Three groups far apart, whose runs of one seed share a part of both numbers."""
    shared = random.normal(size=(2, seeds))
    x = shared[0] + random.normal(size=(3, seeds)) + np.array([[0], [10], [20]])
    y = shared[1] + random.normal(size=(3, seeds)) + link * (x - x.mean(1, keepdims=True)) + np.array([[0], [10], [20]])
    return within_groups(x.ravel(), y.ravel(), np.repeat(range(3), seeds).tolist(), list(range(seeds)) * 3)


def test_groups_that_lie_apart_and_seeds_that_are_shared_make_no_false_findings() -> None:
    random = np.random.default_rng(0)
    found = [grouped(random, 8, 0.0) for _ in range(300)]
    assert np.mean([one.p <= 0.05 for one in found]) <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5
    assert abs(np.mean([one.rho for one in found])) < 0.05
    assert {(one.points, one.units) for one in found} == {(24, 8)}


def test_a_link_within_groups_is_found() -> None:
    found = grouped(np.random.default_rng(1), 20, 2.0)
    assert found.low > 0.4
    assert found.p < 1e-3
