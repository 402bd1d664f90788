from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clsnorm.report.inference import behrens_fisher


@pytest.mark.parametrize("df", [1, 2, 4, 9, 19, 60])
def test_without_examples_it_is_t(df: int) -> None:
    errors = np.array([0.1, 1.0, 3.0, 10.0])
    found = behrens_fisher.upper_tail(errors, 1.0, 0.0, df, 0)
    np.testing.assert_allclose(found, stats.t.sf(errors, df), rtol=1e-4)


def test_without_seeds_it_is_normal() -> None:
    assert behrens_fisher.upper_tail(1.96, 0.0, 1.0, 3, 10**9) == pytest.approx(stats.norm.sf(1.96), rel=1e-6)


def test_in_between_it_is_what_draws_give() -> None:
    random = np.random.default_rng(0)
    chi = random.chisquare(3, 400_000) / 3
    errors = np.sqrt(0.7 / chi) * random.normal(size=chi.size) + np.sqrt(0.4) * random.normal(size=chi.size)
    for at in (0.5, 2.0, 4.0):
        drawn = float((errors >= at).mean())
        found = float(behrens_fisher.upper_tail(at, 0.7, 0.4, 3, 10**9))
        assert found == pytest.approx(drawn, abs=4 * np.sqrt(drawn / chi.size))


def test_the_quantile_inverts_the_tail() -> None:
    a, e = np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5, 0.0])
    at = behrens_fisher.quantile(0.975, a, e, 4, 500)
    np.testing.assert_allclose(behrens_fisher.upper_tail(at, a, e, 4, 500), 0.025, rtol=1e-9)
