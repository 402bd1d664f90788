"""The variance components against closed forms and statsmodels, the intervals against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clsnorm.report.inference.crossed import Crossed, crossed


def table(seeds: int = 6, examples: int = 40, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    parts = random.normal(size=(seeds, 1)), random.normal(size=(1, examples)), random.normal(size=(seeds, examples))
    return 0.3 + 0.1 * parts[0] + 0.5 * parts[1] + 0.2 * parts[2]


def test_the_components_are_the_closed_form_of_the_two_way_layout() -> None:
    d = table()
    s, e = d.shape
    rows, columns, mean = d.mean(1), d.mean(0), d.mean()
    rest = sum((d[i, j] - rows[i] - columns[j] + mean) ** 2 for i in range(s) for j in range(e)) / ((s - 1) * (e - 1))
    seed = (e * sum((rows - mean) ** 2) / (s - 1) - rest) / e
    example = (s * sum((columns - mean) ** 2) / (e - 1) - rest) / s
    found = crossed(d).components()
    assert found["seed"] == pytest.approx(seed, abs=1e-12)
    assert found["example"] == pytest.approx(example, abs=1e-12)
    assert found["rest"] == pytest.approx(rest, abs=1e-12)
    assert crossed(d).standard_error ** 2 == pytest.approx(seed / s + example / e + rest / (s * e), abs=1e-12)


def test_the_mean_squares_are_those_of_statsmodels() -> None:
    statsmodels = pytest.importorskip("statsmodels.formula.api")
    from statsmodels.stats.anova import anova_lm

    pandas = pytest.importorskip("pandas")
    d = table(4, 7)
    cells = [{"y": d[i, j], "seed": f"s{i}", "example": f"e{j}"} for i in range(4) for j in range(7)]
    anova = anova_lm(statsmodels.ols("y ~ C(seed) + C(example)", pandas.DataFrame(cells)).fit())
    found = crossed(d)
    expected = anova["mean_sq"].to_numpy()
    actual = [found.seed_square, found.example_square, found.rest_square]
    np.testing.assert_allclose(actual, expected, rtol=1e-10)


def test_without_examples_it_is_the_paired_t_interval_and_test() -> None:
    x = np.random.default_rng(1).normal(0.4, 1.0, 7)
    found, expected = crossed(x[:, None]), stats.ttest_1samp(x, 0)
    np.testing.assert_allclose(found.interval(0.9), expected.confidence_interval(0.9), rtol=1e-7)
    assert found.p_value() == pytest.approx(expected.pvalue, rel=1e-6)
    one_sided = stats.ttest_1samp(x, 0.2, alternative="greater").pvalue
    assert found.p_value(above=0.2) == pytest.approx(one_sided, rel=1e-6)


def test_equivalence_is_two_one_sided_tests() -> None:
    x = np.random.default_rng(2).normal(0.0, 0.3, 9)
    up = stats.ttest_1samp(x, -0.5, alternative="greater").pvalue
    down = stats.ttest_1samp(x, 0.5, alternative="less").pvalue
    assert crossed(x[:, None]).equivalence_p(0.5) == pytest.approx(max(up, down), rel=1e-6)
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    expected = weightstats.DescrStatsW(x).ttost_mean(-0.5, 0.5)[0]
    assert crossed(x[:, None]).equivalence_p(0.5) == pytest.approx(expected, rel=1e-6)


def test_interval_and_test_agree() -> None:
    for seed in range(20):
        found = crossed(table(4, 30, seed) - 0.3)
        low, high = found.interval()
        assert (low > 0 or high < 0) == (found.p_value() < 0.05)


def test_a_batch_is_analysed_as_its_members_are() -> None:
    tables = np.stack([table(seed=seed) for seed in range(3)])
    together = crossed(tables)
    for place in range(3):
        alone = crossed(tables[place])
        assert isinstance(alone, Crossed)
        np.testing.assert_allclose(together.interval()[0][place], alone.interval()[0])


def test_equal_arms_have_no_error_and_are_equivalent() -> None:
    found = crossed(np.zeros((3, 5)))
    assert found.interval() == (0.0, 0.0)
    assert found.p_value() == 1.0
    assert found.equivalence_p(0.1) == 0.0


def test_satterthwaite_of_seeds_alone_is_their_number_less_one() -> None:
    assert crossed(np.random.default_rng(0).normal(size=(5, 1))).satterthwaite() == pytest.approx(4)
