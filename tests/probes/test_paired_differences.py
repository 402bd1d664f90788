"""Paired differences against SciPy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from clsnorm.probes.paired_differences import PairedDifference, Resamples, holm, mcnemar, paired_difference


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (0, 1), (5, 5), (1, 7), (40, 61), (900, 1100)])
def test_mcnemar_is_the_exact_binomial_test(better: int, worse: int) -> None:
    expected = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert mcnemar(better, worse) == pytest.approx(expected, rel=1e-9)


def test_holm_by_hand() -> None:
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])


def test_the_interval_is_that_of_the_percentile_bootstrap() -> None:
    draw = np.random.default_rng(0)
    arm, reference = draw.random((1, 400)) < 0.8, draw.random((1, 400)) < 0.7
    found = paired_difference(arm, reference, Resamples(400, 1, count=20_000, seed=0))
    values = arm[0].astype(float) - reference[0]
    peer = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", random_state=1).confidence_interval
    assert isinstance(found, PairedDifference)
    assert found.difference == pytest.approx(values.mean())
    assert found.low == pytest.approx(peer.low, abs=2.6e-3)  # one row
    assert found.high == pytest.approx(peer.high, abs=2.6e-3)
    assert (found.better, found.worse) == ((values > 0).sum(), (values < 0).sum())


def test_draws_add_to_the_interval() -> None:
    draw = np.random.default_rng(0)
    shift = draw.normal(size=(20, 1))
    values = draw.normal(size=(20, 300)) + shift
    found = paired_difference(values, np.zeros_like(values), Resamples(300, 20, count=4000, seed=0))
    assert found.p is None
    assert found.high - found.low > 3 * shift.std() / np.sqrt(20)


def test_arms_that_agree_on_all_rows_do_not_differ() -> None:
    right = np.array([[True, False, True]])
    found = paired_difference(right, right, Resamples(3, 1, count=100, seed=0))
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
