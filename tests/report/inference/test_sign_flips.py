from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from clsnorm.report.inference import sign_flips


def test_p_is_that_of_all_flips() -> None:
    d = np.random.default_rng(0).normal(0.5, 1.0, 8)
    reference = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=10**6)
    assert sign_flips.sign_flip_p(d) == pytest.approx(reference.pvalue)


def test_random_flips_come_near() -> None:
    d = np.random.default_rng(1).normal(0.4, 1.0, 16)
    flips = 1.0 - 2.0 * (np.arange(2**16)[:, None] >> np.arange(16) & 1)
    exact = (np.abs(flips @ d) >= abs(d.sum()) - 1e-9).mean()
    assert sign_flips.sign_flip_p(d) == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_no_p_is_below_the_least(seeds: int) -> None:
    assert sign_flips.sign_flip_p(np.ones(seeds)) == sign_flips.smallest_p(seeds)


def test_max_t_is_that_of_the_definition() -> None:
    d = np.random.default_rng(2).normal(0.5, 1.0, (3, 6))

    def t(x: np.ndarray) -> np.ndarray:
        return np.abs(x.mean(-1)) / (x.std(-1, ddof=1) / np.sqrt(6))

    flips = np.array(list(itertools.product((1, -1), repeat=6)))
    observed = t(d)
    order = np.argsort(-observed)
    expected, running = np.empty(3), 0.0
    for place, index in enumerate(order):
        rest = order[place:]
        largest = np.max([t(flips * d[k]) for k in rest], axis=0)
        running = max(running, float((largest >= observed[index] - 1e-9).mean()))
        expected[index] = running
    np.testing.assert_allclose(sign_flips.max_t(d), expected)


def test_max_t_of_one_comparison_is_a_sign_flip_test() -> None:
    d = np.random.default_rng(3).normal(0.5, 1.0, 7)
    assert sign_flips.max_t(d[None])[0] == pytest.approx(sign_flips.sign_flip_p(d))


def test_a_missing_seed_counts_nowhere() -> None:
    d = np.random.default_rng(4).normal(0.5, 1.0, 7)
    with_gap = np.append(d, np.nan)
    assert sign_flips.max_t(with_gap[None])[0] == pytest.approx(sign_flips.sign_flip_p(d))
