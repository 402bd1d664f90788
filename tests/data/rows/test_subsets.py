from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.data.rows.splits import shuffled
from clsnorm.data.rows.subsets import LabelNoise, Subset, shots, subset
from clsnorm.errors import InputError

QUICK = settings(max_examples=60, deadline=None)
LABELS = st.lists(st.integers(0, 3), min_size=4, max_size=600).map(np.array)
SEEDS = st.integers(0, 2**32 - 1)
NAMES = ["a", "b", "c", "d"]


@QUICK
@given(labels=LABELS, seed=SEEDS, data=st.data())
def test_subsets_are_nested_stratified_and_repeatable(labels: np.ndarray, seed: int, data: Any) -> None:
    large = data.draw(st.integers(1, len(labels)))
    small = data.draw(st.integers(1, large))
    a, b = subset(labels, small, seed), subset(labels, large, seed)
    assert set(a) <= set(b)
    assert len(a) == small
    assert (np.diff(a) > 0).all()
    np.testing.assert_array_equal(a, subset(labels, small, seed))
    present = np.unique(labels)
    if small >= len(present):
        assert set(labels[a]) == set(present)
        share = np.bincount(labels)[present] * small / len(labels)
        assert np.abs(np.bincount(labels[a])[present] - share).max() <= len(present)


def test_subsets_differ_between_seeds() -> None:
    labels = np.arange(400) % 2
    assert len(set(subset(labels, 50, 0)) & set(subset(labels, 50, 1))) < 25
    assert len(set(shots(labels, 25, 0, NAMES[:2])) & set(shots(labels, 25, 1, NAMES[:2]))) < 25


@QUICK
@given(labels=LABELS, seed=SEEDS, data=st.data())
def test_shots_are_exact_nested_and_repeatable(labels: np.ndarray, seed: int, data: Any) -> None:
    labels = np.concatenate([labels, np.arange(4)])
    fewest = int(np.bincount(labels).min())
    many = data.draw(st.integers(1, fewest))
    few = data.draw(st.integers(1, many))
    a, b = shots(labels, few, seed, NAMES), shots(labels, many, seed, NAMES)
    assert np.bincount(labels[a]).tolist() == [few] * 4
    assert np.bincount(labels[b]).tolist() == [many] * 4
    assert set(a) <= set(b)
    assert (np.diff(a) > 0).all()
    np.testing.assert_array_equal(a, shots(labels, few, seed, NAMES))


def test_a_class_with_too_few_rows_for_its_shots_is_named() -> None:
    with pytest.raises(InputError, match=r"shots_per_class=2 .* these have fewer: b \(1\), d \(0\). Set fewer"):
        shots(np.array([0, 0, 1, 2, 2]), 2, 0, NAMES)


@QUICK
@given(labels=LABELS, seed=SEEDS, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted))
def test_noise_is_exact_nested_and_never_the_same_class(labels: np.ndarray, seed: int, shares: list[float]) -> None:
    before = labels.copy()
    less, more = (LabelNoise(share, seed).applied(labels, np.arange(4)) for share in shares)
    np.testing.assert_array_equal(labels, before)
    for noisy, share in zip((less, more), shares, strict=True):
        assert (noisy != labels).sum() == round(share * len(labels))
        assert set(noisy) <= {0, 1, 2, 3}
    wrong = less != labels
    np.testing.assert_array_equal(more[wrong], less[wrong])


def test_noise_takes_each_other_class_equally_often() -> None:
    labels = np.zeros(30_000, np.int64)
    counts = np.bincount(LabelNoise(1.0, 5).applied(labels, np.arange(4)), minlength=4)
    assert counts[0] == 0
    chi2 = ((counts[1:] - 10_000) ** 2 / 10_000).sum()
    assert chi2 < 13.8  # 0.1 % of chi-squared with two degrees of freedom


def test_label_noise_is_independent_of_subset_and_order() -> None:
    wrong = np.flatnonzero(LabelNoise(0.1, 0).applied(np.zeros(1000, np.int64), np.arange(2)))
    for first in (shuffled(1000, 0)[:100], shuffled(1000, 0, 0)[:100]):  # the subset's, the first epoch's
        assert len(np.intersect1d(wrong, first)) < 30


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Subset(0, None, 0), "`data.max_train_examples` to be null or a whole number of at least 1, but got 0"),
        (
            lambda: Subset(None, 1.5, 0),
            "`data.shots_per_class` to be null or a whole number of at least 1, but got 1.5",
        ),  # type: ignore
        (lambda: Subset(10, 2, 0), r"or data.shots_per_class, but got both \(10, 2\)"),
        (lambda: LabelNoise(1.1, 0), r"`data.label_noise` to be a number from 0 to 1, but got 1.1"),
        (lambda: LabelNoise(-0.1, 0), "but got -0.1"),
        (lambda: LabelNoise("0.1", 0), "but got '0.1'"),  # type: ignore
    ],
)
def test_numbers_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
