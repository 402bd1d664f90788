from __future__ import annotations

import numpy as np
import pytest

from clsnorm.report.inference.claim_family import claims, holm


def test_holm_is_that_of_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).uniform(size=12) ** 3
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1])


def test_claims_of_differences_alone_are_no_dearer_than_holms() -> None:
    p = np.random.default_rng(1).uniform(0, 0.2, 8)
    differs, _ = claims(p, np.ones(8))
    assert (differs <= 1).all()
    assert differs[np.argmin(p)] == pytest.approx(holm(p).min())


def test_a_comparison_with_both_claims_made_no_longer_counts() -> None:
    differs, equal = claims(np.array([0.001, 0.03]), np.array([0.002, 0.9]))
    assert differs.tolist() == pytest.approx([0.002, 0.03])
    assert equal.tolist() == pytest.approx([0.004, 0.9])


def test_a_comparison_without_a_test_does_not_count() -> None:
    differs, equal = claims(np.array([0.01, np.nan]), np.array([0.5, np.nan]))
    assert differs[0] == pytest.approx(0.01)
    assert np.isnan([differs[1], equal[1]]).all()


def test_any_false_claim_is_rarer_than_the_level() -> None:
    random = np.random.default_rng(2)
    wrong = 0
    for _ in range(2000):
        truth = random.integers(0, 2, 6)  # 0: no difference; 1: a difference of the margin
        p = random.uniform(size=6)
        other = random.beta(0.05, 1.0, 6)  # of the hypothesis that is false
        differs, equal = claims(np.where(truth == 0, p, other), np.where(truth == 1, p, other))
        wrong += bool(((differs <= 0.05) & (truth == 0)).any() or ((equal <= 0.05) & (truth == 1)).any())
    assert wrong / 2000 <= 0.05 + 2 * (0.05 * 0.95 / 2000) ** 0.5
