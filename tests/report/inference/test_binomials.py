from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clsnorm.report.inference import binomials


@pytest.mark.parametrize(("failures", "runs"), [(0, 5), (1, 5), (3, 20), (5, 5)])
def test_the_interval_is_clopper_and_pearsons(failures: int, runs: int) -> None:
    expected = stats.binomtest(failures, runs).proportion_ci(0.95, "exact")
    assert binomials.clopper_pearson(failures, runs) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_a_rate_covers_at_least_its_level_at_every_rate() -> None:
    for runs in (3, 10):
        ends = [binomials.clopper_pearson(k, runs) for k in range(runs + 1)]
        for rate in np.linspace(0.01, 0.99, 50):
            held = sum(stats.binom.pmf(k, runs, rate) for k, (low, high) in enumerate(ends) if low <= rate <= high)
            assert held >= 0.95


def test_the_paired_test_is_mcnemars() -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    expected = tables.mcnemar([[4, 7], [1, 8]], exact=True).pvalue
    assert binomials.paired_p(7, 1) == pytest.approx(expected)
    assert binomials.paired_p(0, 0) == 1.0


def test_the_paired_interval_holds_the_difference_and_ends_within_one() -> None:
    low, high = binomials.paired_interval(3, 1, 10)
    assert -1 <= low < 0.2 < high <= 1
    assert binomials.paired_interval(10, 0, 10)[0] > 0


def test_wilson_intervals_equal_those_of_scipy() -> None:
    for hits, count in ((0, 20), (3, 20), (199, 200), (200, 200)):
        expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
        np.testing.assert_allclose(binomials.wilson(hits / count, count), expected, atol=1e-9)
    assert np.isnan(binomials.wilson(float("nan"), 3)).all()
