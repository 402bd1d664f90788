"""Rules for all statistics of the catalogue; ``families/test_FAMILY.py`` compares each with a reference."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from rows import C, D, N, embeddings, filled
from scipy import stats

from clsnorm.errors import InputError
from clsnorm.statistics import CATALOGUE, Statistic, Value, describe, find
from clsnorm.statistics.catalogue import evaluate
from clsnorm.statistics.families import FAMILIES
from clsnorm.statistics.noise import outlier_probability


def test_each_family_compares_its_numbers_with_references() -> None:
    """`assert_references` fails if a number of its family lacks one."""
    for family in FAMILIES:
        text = (Path(__file__).parent / "families" / f"test_{family}.py").read_text(encoding="utf-8")
        assert f'assert_references("{family}", ' in text, family
    assert {statistic.family for statistic in CATALOGUE} == set(FAMILIES)


def test_the_catalogue_lists_families_in_order_and_is_searched_by_name_and_alias() -> None:
    places = [FAMILIES.index(statistic.family) for statistic in CATALOGUE]
    assert places == sorted(places)
    for statistic in CATALOGUE:
        assert isinstance(statistic, Statistic)
        assert find(statistic.name, argument="numbers") is find(statistic.key, argument="numbers") is statistic
    with pytest.raises(InputError, match=r"`numbers`.*'isoscor'.*Did you mean 'isoscore'"):
        find("isoscor", argument="numbers")


def test_an_unknown_null_is_none() -> None:
    found = describe(filled(*embeddings()))
    assert isinstance(found["norm/mean"], Value)
    assert {name for name, value in found.items() if value.null is None} == {s.name for s in CATALOGUE if not s.null}


def test_a_direction_without_variance_adds_no_rounding_noise() -> None:
    rows, labels = embeddings()
    flat = rows - rows.mean(1, keepdims=True)  # as behind a layer norm
    whole = describe(filled(flat, labels, sample=64))
    for size in (1, 7):
        for name, value in describe(filled(flat, labels, cuts=tuple(range(size, N, size)), sample=64)).items():
            assert value.value == pytest.approx(whole[name].value, rel=1e-9, abs=1e-12), name


def test_a_constant_dimension_adds_no_rounding_noise() -> None:
    rows, labels = embeddings()
    still = np.concatenate([rows, np.full((N, 1), 0.1)], axis=1)
    for cuts in ((), (7, 50, 113)):
        with_it, without = filled(still, labels, cuts=cuts, sample=64), filled(rows, labels, cuts=cuts, sample=64)
        assert with_it.covariance[-1].count_nonzero() == 0
        found, expected = describe(with_it), describe(without)
        assert math.isinf(found["spread/std_range"].value)
        for name in ("correlation/mean_absolute", "correlation/mean_square", "spectrum/participation_ratio"):
            assert found[name].value == pytest.approx(expected[name].value, rel=1e-9), name


def test_nulls_are_averages_over_noise() -> None:
    """Averages over draws of an isotropic normal, labels at random: within four standard errors and 2 % of the null.

    The 2 % are the bias of the closed forms at 240 rows of 20 dimensions; most have less.
    """
    draws = []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        draws.append(describe(filled(draw.standard_normal((240, 20)), draw.integers(0, C, 240))))
    for statistic in CATALOGUE:
        null = draws[0][statistic.name].null
        if null is None:
            continue
        found = np.array([values[statistic.name].value for values in draws])
        error = stats.sem(found)
        assert abs(found.mean() - null) <= 4 * error + 0.02 * abs(null), statistic.name


OUTLIERS = {"outliers/mean", "outliers/variance", "outliers/extreme"}
COUNTED = {"centre/sign_constant", "spread/dead", *OUTLIERS}  # (almost) always 0 for noise


@pytest.mark.parametrize(("count", "dim"), [(40, 8), (60, 30)])
def test_intervals_hold_95_percent_of_noise(count: int, dim: int) -> None:
    draws = 150
    names = [s.name for s in CATALOGUE if s.distribution and s.family != "classes"]  # see test_random_labels.py
    outside = dict.fromkeys(names, 0)
    for seed in range(draws):
        draw = np.random.default_rng(100 + seed)
        s = filled(draw.standard_normal((count, dim)), draw.integers(0, C, count))
        for name in names:
            verdict = evaluate(find(name, argument="numbers"), s, intervals=True).verdict
            outside[name] += verdict != "within"
    for name, number in outside.items():
        if name in COUNTED or (name.endswith("_10") and dim <= 10):
            assert number <= 0.05 * draws, name
        else:
            assert stats.binomtest(number, draws, 0.05).pvalue > 1e-3, name


def test_rows_that_are_not_noise_lie_outside() -> None:
    found = describe(filled(*embeddings()), intervals=True)
    sides = {"above": ["centre/centred_share", "energy/top_5", "spread/std_range", "spectrum/explained_1"]}
    sides["above"] += ["correlation/mean_absolute", "cosine/average", "tails/kurtosis", "sample/uniformity"]
    sides["below"] = ["spectrum/isoscore", "spectrum/effective_rank", "isotropy/second_order_norm_1"]
    for side, names in sides.items():
        for name in names:
            value = found[name]
            assert value.verdict == side, name
            assert min(value.p_below, value.p_above) < 0.025, name
            assert value.low <= value.null <= value.high, name


def test_each_null_has_an_interval_and_only_then() -> None:
    found = describe(filled(*embeddings()), intervals=True)
    with_interval = [name for name, value in found.items() if value.low is not None]
    assert with_interval == [name for name, value in found.items() if value.null is not None]
    assert with_interval == [statistic.name for statistic in CATALOGUE if statistic.distribution]
    plain = describe(filled(*embeddings()))
    assert {value.low for value in plain.values()} == {None}
    assert {value.verdict for value in plain.values()} == {""}


def test_more_dimensions_than_rows_have_intervals() -> None:
    draw = np.random.default_rng(3)
    found = describe(filled(draw.standard_normal((20, 30)), draw.integers(0, C, 20)), intervals=True)
    assert (found["spectrum/condition"].verdict, found["spectrum/condition"].low) == ("within", math.inf)
    separability = found["classes/separability"]
    assert separability.verdict == "within"
    assert separability.null == pytest.approx(separability.value, rel=0.5)  # 10^2, and not undefined


@pytest.mark.parametrize("count", [13, 14, 20, 40])
def test_small_numbers_of_rows_have_the_right_null(count: int) -> None:
    """Degrees of freedom of centred spectra, the exact variance of skewness."""
    names = ["tails/skewness", "spectrum/participation_ratio", "spectrum/isoscore", "correlation/mean_absolute"]
    names += ["correlation/mean_square", "spread/std_variation"]
    draws: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(150):
        draw = np.random.default_rng(seed)
        found = describe(filled(draw.standard_normal((count, D)), np.arange(count) % C))
        for name in names:
            draws[name].append(found[name].value / found[name].null)
    for name, ratios in draws.items():
        assert np.mean(ratios) == pytest.approx(1, abs=0.05 + 4 * stats.sem(ratios)), name


def test_outliers_by_the_mean_need_eleven_dimensions() -> None:
    for dim, probability in ((8, 0.0), (10, 0.0), (20, None), (2000, 0.0027)):
        found = outlier_probability(dim, 3.0)
        values = np.random.default_rng(dim).standard_normal((2000, dim))
        share = (np.abs(stats.zscore(values, axis=1)) > 3).mean()
        assert found == pytest.approx(share, abs=6e-4)
        assert probability is None or found == pytest.approx(probability, abs=1e-4)


def test_a_null_that_is_not_conditional_is_of_the_number_of_rows_alone() -> None:
    rows, labels = embeddings(d=30)
    rows[:, 7] += 60
    first, other = (describe(filled(x, labels)) for x in (rows, rows * np.linspace(1, 3, 30)))
    for statistic in CATALOGUE:
        if statistic.null:
            same = first[statistic.name].null == other[statistic.name].null
            assert same is not statistic.conditional, statistic.name


@pytest.mark.parametrize("case", ["constant", "zeros", "one_row", "few_rows", "one_dimension"])
def test_degenerate_embeddings_raise_nothing(case: str) -> None:
    rows, labels = embeddings()
    rows, labels = {
        "constant": (np.ones_like(rows), labels),
        "zeros": (np.zeros_like(rows), labels),
        "one_row": (rows[:1], labels[:1]),
        "few_rows": (rows[:4], labels[:4]),
        "one_dimension": (rows[:, :1], labels),
    }[case]
    found = describe(filled(rows, labels))
    assert set(found) == {statistic.name for statistic in CATALOGUE}


def test_undefined_numbers_are_nan_and_the_others_stay_in_their_range() -> None:
    rows, labels = embeddings()
    constant = describe(filled(np.full_like(rows, 0.3), labels))
    for name in ("tails/kurtosis_max", "tails/kurtosis_across", "classes/nc1", "classes/nc2_angles"):
        assert math.isnan(constant[name].value), name
    assert constant["spread/dead"].value == D
    assert 0 <= constant["classes/alignment"].value < 1e-9
    assert 1 - 1e-9 < constant["cosine/average"].value <= 1
    half = np.concatenate([rows, np.full_like(rows, 2.0)])  # a row without variance has no kurtosis
    across = describe(filled(half, np.tile(labels, 2)))["tails/kurtosis_across"].value
    assert across == pytest.approx(stats.kurtosis(rows, axis=1).mean(), rel=1e-9)
