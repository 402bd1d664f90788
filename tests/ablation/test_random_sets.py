"""Random sets of dimensions: sizes, uniformity, and what they are matched in."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from clsnorm.ablation.random_sets import NEAREST, matched_sets, sets_of_equal_energy, sets_of_equal_size
from clsnorm.errors import InputError


def draw() -> np.random.Generator:
    return np.random.default_rng(0)


def test_sets_of_equal_size_are_uniform_over_the_other_dimensions() -> None:
    generator, pairs = draw(), list(combinations([0, 1, 3, 4, 6], 2))
    drawn = [tuple(sets_of_equal_size(np.array([2, 5]), 7, count=1, draw=generator)[0]) for _ in range(3000)]
    counts = [drawn.count(pair) for pair in pairs]
    assert sum(counts) == 3000
    assert stats.chisquare(counts).pvalue > 1e-3


def test_sets_are_different_and_all_of_them_if_there_are_few() -> None:
    found = [tuple(dims) for dims in sets_of_equal_size(np.array([2, 5]), 7, count=20, draw=draw())]
    assert sorted(found) == list(combinations([0, 1, 3, 4, 6], 2))
    assert len({tuple(dims) for dims in sets_of_equal_size(np.array([0]), 300, count=200, draw=draw())}) == 200


def test_more_outliers_than_other_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match="fewer than half of the 5 dimensions"):
        sets_of_equal_size(np.array([0, 1, 2]), 5, count=1, draw=draw())


def test_matched_sets_are_near_in_the_feature() -> None:
    feature = np.exp(np.linspace(0, 10, 200))
    dims = np.array([50, 51, 120])
    found = matched_sets(dims, feature, count=200, draw=draw())
    assert len({tuple(one) for one in found}) == len(found) == 200
    for one in found:
        assert len(set(one)) == 3
        assert not set(one) & set(dims)
        assert sum(abs(i - 50.5) <= NEAREST for i in one) == 2
        assert sum(abs(i - 120) <= NEAREST / 2 + 1 for i in one) == 1


def test_an_outlier_without_an_equal_gets_the_largest_others() -> None:
    feature = np.r_[np.arange(1.0, 41.0), 1e6]
    found = matched_sets(np.array([40]), feature, count=300, draw=draw())
    assert sorted(int(one[0]) for one in found) == list(range(20, 40))


def test_sets_of_equal_energy_are_the_smallest_that_remove_as_much() -> None:
    energies = np.r_[10.0, np.ones(30)]
    found = sets_of_equal_energy(np.array([0]), 31, lambda dims: float(energies[dims].sum()), count=20, draw=draw())
    assert {len(one) for one in found} == {10}
    unreachable = np.r_[100.0, np.ones(30)]
    (found,) = sets_of_equal_energy(np.array([0]), 31, lambda s: float(unreachable[s].sum()), count=1, draw=draw())
    assert len(found) == 30
