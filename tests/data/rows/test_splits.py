from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.data.rows import splits
from clsnorm.data.rows.splits import carve, carved_size, strata, stratified_order
from clsnorm.data.rows.subsets import shots, subset
from clsnorm.errors import InputError

QUICK = settings(max_examples=60, deadline=None)
LABELS = st.lists(st.integers(0, 3), min_size=4, max_size=600).map(np.array)


def test_the_order_is_the_same_on_every_machine() -> None:
    np.testing.assert_array_equal(stratified_order(np.arange(12) % 3, 7), ORDER)


ORDER = [6, 11, 4, 3, 10, 2, 9, 8, 7, 0, 5, 1]


@pytest.mark.parametrize(
    ("rows", "kind", "digest"),
    [
        (400, "classes", "2a0b03a2a233d61e"),
        (400, "values", "1fb0ee47eba42a64"),
        (5_003, "classes", "5b802760b4153f6a"),
        (5_003, "values", "4fd85b0a2cad51b7"),
        (60_000, "classes", "46c53057d7e2362e"),
        (60_000, "values", "942eb66ac851f7f7"),
    ],
)
def test_drawn_rows_are_those_of_earlier_versions(rows: int, kind: str, digest: str) -> None:
    """Published results name splits and subsets by seed alone, so their computation must not change them."""
    numbers = np.arange(rows) * 7919 % 10_007
    labels = numbers % 7 % 3 if kind == "classes" else (numbers / 10_007).astype(np.float32)
    found = []
    for keys in (rows, rows * 9 // 10, rows // 3):
        same = ((numbers + np.arange(rows) // 10_007 * 10_007) % keys).astype(np.uint64)
        found += [carve(same, labels, name) for name in ("report", "select")]
    found += [subset(labels, size, seed) for size in (50, rows // 2, rows) for seed in (0, 7)]
    found += [shots(labels, size, 7, ["a", "b", "c"]) for size in (5, 50)] if kind == "classes" else []
    assert hashlib.sha256(np.concatenate(found).tobytes()).hexdigest()[:16] == digest


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
    off = carve(texts, labels, "select")
    assert not set(np.delete(texts, off)) & set(texts[off])
    assert (np.diff(off) > 0).all()
    assert len(off) <= carved_size(len(rows))


@QUICK
@given(LABELS)
def test_carving_of_different_texts_is_exact_and_stratified(labels: np.ndarray) -> None:
    off = carve(np.arange(len(labels)), labels, "report")
    lone = (np.bincount(labels, minlength=4) == 1).sum()  # the only row of a class stays in train
    assert carved_size(len(labels)) - lone <= len(off) <= carved_size(len(labels))
    assert set(np.delete(labels, off)) == set(labels)
    share = np.bincount(labels, minlength=4) * len(off) / len(labels)
    assert np.abs(np.bincount(labels[off], minlength=4) - share).max() <= 4


def test_numbers_are_carved_by_decile() -> None:
    labels = np.linspace(0, 5, 5000).astype(np.float32)
    off = carve(np.arange(5000), labels, "select")
    assert set(np.bincount(strata(labels)[off])) == {50}


@QUICK
@given(labels=LABELS, seed=st.integers(0, 9), size=st.integers(0, 700))
def test_a_shorter_order_is_a_prefix_of_the_whole(labels: np.ndarray, seed: int, size: int) -> None:
    whole = stratified_order(labels, seed)
    assert sorted(whole) == list(range(len(labels)))
    np.testing.assert_array_equal(stratified_order(labels, seed, size=size), whole[:size])


@QUICK
@given(
    rows=st.lists(st.tuples(st.integers(0, 12) | st.integers(0, 400), st.integers(0, 1)), min_size=4, max_size=900),
    most=st.sampled_from([9, 2000]),  # of 9 the first few candidates are soon used up
)
def test_carving_takes_groups_in_the_order_of_their_first_rows(rows: list[tuple[int, int]], most: int) -> None:
    same, labels = (np.array(column) for column in zip(*rows, strict=True))
    if len(set(same)) < 2:
        return
    groups = {key: np.flatnonzero(same == key) for key in dict.fromkeys(same.tolist())}
    whole = [set(same[labels == label]) for label in set(labels.tolist())]
    left, expected = min(carved_size(len(rows)), most), []
    for at in stratified_order(labels[[group[0] for group in groups.values()]], splits.SEEDS["report"]):
        key, group = list(groups.items())[at]
        if len(group) <= left:
            left -= len(group)
            expected += [] if {key} in whole else group.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "AT_MOST", most)
        off = carve(same, labels, "report")
    assert off.tolist() == sorted(expected)


def test_the_only_row_of_a_class_is_not_carved() -> None:
    labels = np.array([0, 1] * 200 + [2])
    for name in ("report", "select"):
        off = carve(np.arange(401), labels, name)
        assert 400 not in off
        assert len(off) == 199
