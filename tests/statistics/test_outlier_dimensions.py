"""Outlier dimensions, and the overlap of two sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from clsnorm.statistics.outlier_dimensions import (
    deviations_of,
    expected_jaccard,
    extreme_shares,
    jaccard,
    outliers,
    overlap_probability,
)


def test_outliers_equal_those_of_scipy_s_z_scores() -> None:
    values = np.random.default_rng(0).standard_normal(50)
    values[[3, 40]] = 9, -8
    expected = np.flatnonzero(np.abs(stats.zscore(values)) > 3).tolist()
    assert outliers(torch.from_numpy(values)).tolist() == expected == [3, 40]


def test_jaccard_is_the_share_of_the_union() -> None:
    assert jaccard(torch.tensor([1, 2, 3]), torch.tensor([3, 4])) == 1 / 4
    assert math.isnan(jaccard(torch.tensor([]), torch.tensor([])))


def test_deviations_equal_z_scores_and_are_0_without_spread() -> None:
    values = np.random.default_rng(1).standard_normal(50)
    np.testing.assert_allclose(deviations_of(torch.from_numpy(values)), np.abs(stats.zscore(values)), rtol=1e-12)
    assert not deviations_of(torch.ones(5)).any()


def test_extreme_shares_count_rows_in_which_a_value_is_far_off() -> None:
    rows = np.random.default_rng(2).standard_normal((40, 60))
    rows[:30, 7] = 20
    expected = (np.abs(stats.zscore(rows, axis=1)) > 3).mean(0)
    found = extreme_shares(torch.from_numpy(rows))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found[7] == pytest.approx(30 / 40, abs=0.06)


@pytest.mark.parametrize(("first", "second", "dim"), [(3, 5, 20), (1, 1, 384), (6, 0, 10), (7, 9, 12)])
def test_chance_levels_equal_those_of_the_hypergeometric_distribution(first: int, second: int, dim: int) -> None:
    chance = stats.hypergeom(dim, first, second)
    shared = np.arange(min(first, second) + 1)
    expected = (chance.pmf(shared) * shared / (first + second - shared)).sum()
    assert expected_jaccard(first, second, dim) == pytest.approx(expected, rel=1e-10)
    for k in shared:
        assert overlap_probability(int(k), first, second, dim) == pytest.approx(chance.sf(k - 1), rel=1e-9)


def test_the_expected_jaccard_is_the_mean_over_random_sets() -> None:
    draw = np.random.default_rng(3)
    found = [jaccard(*(torch.from_numpy(draw.choice(10, size, replace=False)) for size in (3, 4))) for _ in range(3000)]
    assert np.mean(found) == pytest.approx(expected_jaccard(3, 4, 10), abs=4 * np.std(found) / 3000**0.5)
    assert math.isnan(expected_jaccard(0, 0, 10))
