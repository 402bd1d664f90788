from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.data.splits import carve, carved_size, groups, leaked, strata, stratified_order, subset
from clsnorm.errors import InputError

QUICK = settings(max_examples=60, deadline=None)
LABELS = st.lists(st.integers(0, 3), min_size=4, max_size=600).map(np.array)


@QUICK
@given(labels=LABELS, seed=st.integers(0, 2**32 - 1), data=st.data())
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


def test_the_order_is_the_same_on_every_machine() -> None:
    np.testing.assert_array_equal(stratified_order(np.arange(12) % 3, 7), ORDER)


ORDER = [6, 11, 4, 3, 10, 2, 9, 8, 7, 0, 5, 1]


@pytest.mark.parametrize(
    ("rows", "size"), [(2, 1), (10, 5), (399, 199), (400, 200), (1999, 200), (8530, 853), (20_000, 2000), (10**6, 2000)]
)
def test_carved_size(rows: int, size: int) -> None:
    assert carved_size(rows) == size


@QUICK
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 1)), min_size=4, max_size=900))
def test_carving_keeps_equal_texts_together(rows: list[tuple[int, int]]) -> None:
    texts = [[f"text {i}" for i, _ in rows]]
    labels = np.array([label for _, label in rows])
    if len(set(texts[0])) < 2:
        with pytest.raises(InputError, match="at least two different texts"):
            carve(texts, labels, "select")
        return
    stay, off = carve(texts, labels, "select")
    assert sorted([*stay, *off]) == list(range(len(rows)))
    assert not {texts[0][i] for i in stay} & {texts[0][i] for i in off}
    assert len(off) <= carved_size(len(rows))


@QUICK
@given(LABELS)
def test_carving_of_different_texts_is_exact_and_stratified(labels: np.ndarray) -> None:
    texts = [[str(i) for i in range(len(labels))]]
    _, off = carve(texts, labels, "report")
    assert len(off) == carved_size(len(labels))
    share = np.bincount(labels, minlength=4) * len(off) / len(labels)
    assert np.abs(np.bincount(labels[off], minlength=4) - share).max() <= 4


def test_numbers_are_carved_by_decile() -> None:
    labels = np.linspace(0, 5, 5000).astype(np.float32)
    _, off = carve([[str(i) for i in range(5000)]], labels, "select")
    assert set(np.bincount(strata(labels)[off])) == {50}


def test_groups_and_leaks_compare_pairs() -> None:
    texts = [["a", "a", "b", "a"], ["x", "y", "x", "x"]]
    assert groups(texts).tolist() == [0, 1, 2, 0]
    assert leaked(texts, [["a", "b"], ["x", "y"]]) == 1
