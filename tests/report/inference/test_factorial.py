"""Variance components against closed forms, statsmodels and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clsnorm.report.inference.factorial import Component, components


def test_two_factors_are_the_closed_form() -> None:
    y = np.random.default_rng(0).normal(size=(4, 6)) + np.arange(4)[:, None]
    rows, columns, mean = y.mean(1), y.mean(0), y.mean()
    rest = ((y - rows[:, None] - columns + mean) ** 2).sum() / (3 * 5)
    found = components(y, draws=100)
    assert [one.factors for one in found] == [(0,), (1,), (0, 1)]
    assert [one.free for one in found] == [3, 5, 15]
    assert found[0].variance == pytest.approx((6 * rows.var(ddof=1) - rest) / 6)
    assert found[1].variance == pytest.approx((4 * columns.var(ddof=1) - rest) / 4)
    assert found[2].variance == pytest.approx(rest)
    assert sum(one.share for one in found) == pytest.approx(1)


def test_mean_squares_of_three_factors_are_those_of_statsmodels() -> None:
    formula = pytest.importorskip("statsmodels.formula.api")
    anova = pytest.importorskip("statsmodels.stats.anova")
    y = np.random.default_rng(1).normal(size=(3, 2, 4))
    frame = pd.DataFrame([(i, j, k, y[i, j, k]) for i, j, k in np.ndindex(y.shape)], columns=["a", "b", "c", "y"])
    fitted = formula.ols("y ~ (C(a) + C(b) + C(c)) ** 2", frame).fit()
    table = anova.anova_lm(fitted)
    ms = dict(zip(["a", "b", "c", "ab", "ac", "bc", "abc"], table["sum_sq"] / table["df"], strict=True))
    found = {one.factors: one.variance for one in components(y, draws=10)}
    assert found[0, 1, 2] == pytest.approx(ms["abc"])
    assert found[0, 2] == pytest.approx((ms["ac"] - ms["abc"]) / 2)
    assert found[0,] == pytest.approx((ms["a"] - ms["ab"] - ms["ac"] + ms["abc"]) / 8)


def test_intervals_of_shares_cover() -> None:
    random, held, tries = np.random.default_rng(2), np.zeros(3), 400
    truth = np.array([4.0, 1.0, 2.0])
    for _ in range(tries):
        parts = (random.normal(size=shape) for shape in ((5, 1), (1, 5), (5, 5)))
        y = sum(np.sqrt(v) * part for v, part in zip(truth, parts, strict=True))
        found = components(y, draws=800)
        held += [one.low <= share <= one.high for one, share in zip(found, truth / truth.sum(), strict=True)]
    assert (held / tries >= 0.93).all()
    assert (held / tries <= 0.995).all()


def test_scores_that_are_all_equal_have_no_shares() -> None:
    found = components(np.ones((3, 3)), draws=10)
    assert all(isinstance(one, Component) and np.isnan(one.share) and one.variance == 0 for one in found)
