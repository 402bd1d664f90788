from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clsnorm.report.inference.over_sets import OverSets, over_sets, paule_mandel


def test_the_mean_over_sets_like_these_is_a_t_test_over_sets() -> None:
    d = np.array([0.1, 0.5, 0.3, -0.2])
    found, expected = over_sets(d, np.full(4, 0.1)), stats.ttest_1samp(d, 0)
    assert isinstance(found, OverSets)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p_value() == pytest.approx(expected.pvalue)
    up, down = (stats.ttest_1samp(d, m, alternative=a).pvalue for m, a in ((-1, "greater"), (1, "less")))
    assert found.equivalence_p(1.0) == pytest.approx(max(up, down))


def test_the_spread_between_sets_is_that_of_statsmodels() -> None:
    meta = pytest.importorskip("statsmodels.stats.meta_analysis")
    d, v = np.array([0.1, 0.5, 0.3, -0.2]), np.array([0.01, 0.02, 0.005, 0.01])
    expected = meta.combine_effects(d, v, method_re="iterated").tau2
    assert paule_mandel(d, v) == pytest.approx(expected, rel=1e-4)


def test_sets_that_differ_by_chance_alone_have_no_spread_between_them() -> None:
    found = over_sets(np.array([0.1, 0.11, 0.09]), np.full(3, 0.5))
    assert found.between == 0.0
    assert found.standard_error_of_these == pytest.approx(0.5 / np.sqrt(3))


def test_the_detectable_difference_over_sets_is_found_about_four_times_in_five() -> None:
    random = np.random.default_rng(0)
    sizes = [over_sets(random.normal(size=8), np.ones(8)).detectable(alpha=0.05, power=0.8) for _ in range(300)]
    size = float(np.median(sizes))
    found = [over_sets(size + random.normal(size=8), np.ones(8)).p_value() <= 0.05 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)
