"""Nulls with a spread: drawn and in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from clsnorm.statistics.null_distribution import ClosedForm, NullDistribution, Simulated


def test_another_draw_lies_outside_the_interval_as_often_as_stated() -> None:
    draw = np.random.default_rng(0)
    outside = 0
    for _ in range(4000):
        low, high = Simulated(draw.exponential(size=39)).interval()  # k = 1
        outside += not low <= draw.exponential() <= high
    assert stats.binomtest(outside, 4000, 0.05).pvalue > 0.01


def test_probabilities_count_the_observed_value() -> None:
    null = Simulated([3.0, 1.0, 2.0, 2.0])
    assert (null.at_most(2.0), null.at_least(2.0)) == (4 / 5, 4 / 5)
    assert (null.at_most(0.0), null.at_least(9.0)) == (1 / 5, 1 / 5)
    assert null.mean() == 2.0


def test_infinite_draws_are_an_interval_and_undefined_ones_are_not() -> None:
    null = Simulated([math.inf] * 50)
    assert null.interval() == (math.inf, math.inf)
    assert math.isinf(null.mean())
    assert math.isnan(Simulated([1.0, math.nan]).mean())


def test_a_known_distribution_is_that_of_scipy() -> None:
    null: NullDistribution = ClosedForm(stats.norm(1.0, 2.0))
    assert null.interval() == pytest.approx((1 - 2 * 1.959964, 1 + 2 * 1.959964))
    assert null.mean() == 1.0
    assert null.at_most(1.0) == null.at_least(1.0) == pytest.approx(0.5)
