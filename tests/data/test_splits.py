from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.data import splits
from clsnorm.data.splits import among, carve, carved_size, repeated, strata, stratified_order
from clsnorm.errors import InputError

QUICK = settings(max_examples=60, deadline=None)
LABELS = st.lists(st.integers(0, 3), min_size=4, max_size=600).map(np.array)


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
    texts = np.array([text for text, _ in rows])
    labels = np.array([label for _, label in rows])
    if len(set(texts)) < 2:
        with pytest.raises(InputError, match="at least two different texts"):
            carve(texts, labels, "select")
        return
    stay, off = carve(texts, labels, "select")
    assert sorted([*stay, *off]) == list(range(len(rows)))
    assert not set(texts[stay]) & set(texts[off])
    assert len(off) <= carved_size(len(rows))


@QUICK
@given(LABELS)
def test_carving_of_different_texts_is_exact_and_stratified(labels: np.ndarray) -> None:
    stay, off = carve(np.arange(len(labels)), labels, "report")
    lone = (np.bincount(labels, minlength=4) == 1).sum()  # a class's only row stays
    assert carved_size(len(labels)) - lone <= len(off) <= carved_size(len(labels))
    assert set(labels[stay]) == set(labels)
    share = np.bincount(labels, minlength=4) * len(off) / len(labels)
    assert np.abs(np.bincount(labels[off], minlength=4) - share).max() <= 4


def test_numbers_are_carved_by_decile() -> None:
    labels = np.linspace(0, 5, 5000).astype(np.float32)
    _, off = carve(np.arange(5000), labels, "select")
    assert set(np.bincount(strata(labels)[off])) == {50}


KEYS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=50).map(lambda keys: np.array(keys, np.uint64))


@QUICK
@given(keys=KEYS, known=KEYS)
def test_look_ups(keys: np.ndarray, known: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "PIECE", 7)
        assert among(keys, np.unique(known)).tolist() == [key in set(known.tolist()) for key in keys.tolist()]
    counts = Counter(keys.tolist())
    assert repeated(keys).tolist() == sorted(key for key, count in counts.items() if count > 1)


@QUICK
@given(labels=LABELS, seed=st.integers(0, 9), size=st.integers(0, 700))
def test_a_beginning_of_the_order_is_that_of_the_whole(labels: np.ndarray, seed: int, size: int) -> None:
    whole = stratified_order(labels, seed)
    assert sorted(whole) == list(range(len(labels)))
    np.testing.assert_array_equal(stratified_order(labels, seed, size=size), whole[:size])


@QUICK
@given(
    rows=st.lists(st.tuples(st.integers(0, 12) | st.integers(0, 400), st.integers(0, 1)), min_size=4, max_size=900),
)
def test_carving_takes_groups_in_the_order_of_their_first_rows(rows: list[tuple[int, int]]) -> None:
    same, labels = (np.array(column) for column in zip(*rows, strict=True))
    if len(set(same)) < 2:
        return
    groups = {key: np.flatnonzero(same == key) for key in dict.fromkeys(same.tolist())}
    whole = [set(same[labels == label]) for label in set(labels.tolist())]
    left, expected = carved_size(len(rows)), []
    for at in stratified_order(labels[[group[0] for group in groups.values()]], splits.SEEDS["report"]):
        key, group = list(groups.items())[at]
        if len(group) <= left:
            left -= len(group)
            expected += [] if {key} in whole else group.tolist()
    _, off = carve(same, labels, "report")
    assert off.tolist() == sorted(expected)


def test_the_only_row_of_a_class_is_not_carved() -> None:
    labels = np.array([0, 1] * 200 + [2])
    for name in ("report", "select"):
        stay, off = carve(np.arange(401), labels, name)
        assert 400 in stay
        assert len(off) == 199


def test_carving_takes_a_few_words_a_row() -> None:
    """However many of the texts stand there twice."""
    draw, rows = np.random.default_rng(0), 200_000
    labels = draw.integers(0, 2, rows)
    for keys in (rows, rows // 2, rows // 10):
        same = draw.permutation(np.arange(rows) % keys).astype(np.uint64)
        tracemalloc.start()
        carve(same, labels, "report")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak / rows < 80
