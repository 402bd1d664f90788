"""Places in a null, against simulation and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from clsnorm.ablation.null_comparison import compared, excess, p_value, percentile


def test_percentiles_of_a_draw_from_the_null_are_uniform_also_with_ties() -> None:
    draws = np.random.default_rng(0).standard_normal((2000, 41))
    smooth = [percentile(row[0], row[1:]) for row in draws]
    assert stats.kstest(smooth, "uniform").pvalue > 1e-3
    tied = [percentile(row[0], row[1:]) for row in draws.round()]
    assert np.mean(tied) == pytest.approx(0.5, abs=0.02)


def test_p_values_are_valid_and_never_0() -> None:
    draws = np.random.default_rng(1).standard_normal((4000, 21)).round(1)
    found = np.array([p_value(row[0], row[1:]) for row in draws])
    assert found.min() > 0
    for level in (0.05, 0.1, 0.5):
        assert (found <= level).mean() <= level + 4 * (level / 4000) ** 0.5


def test_excess_counts_standard_deviations() -> None:
    assert excess(5.0, [1.0, 2.0, 3.0]) == pytest.approx(3.0)
    assert excess(5.0, [1.0, 1.0]) == 0.0


def test_an_undefined_value_has_no_place() -> None:
    assert math.isnan(percentile(math.nan, [1.0]))
    assert math.isnan(p_value(1.0, [math.nan]))
    found = compared(3.0, [1.0, 2.0, 4.0, 5.0])
    assert (found["mean"], found["percentile"], found["p"]) == (3.0, 0.5, 3 / 5)
