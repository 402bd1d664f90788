"""Encoding of labels: stated classes, found classes, and values."""

from __future__ import annotations

import numpy as np
import pytest

from clsnorm.data import Table
from clsnorm.data.rows.labels import ClassCoder, Classes, Coder, FoundClasses
from clsnorm.data.rows.values import Values
from clsnorm.errors import InputError


def coded(coder: Coder, *chunks: list[object]) -> np.ndarray:
    tables = [Table({}, list(range(1, len(labels) + 1)), "a.tsv").of_texts([], labels) for labels in chunks]
    found = np.concatenate([coder.encode(table) for table in tables])
    coder.finish()
    return coder.final(found)


@pytest.mark.parametrize(
    ("chunks", "labels", "ids"),
    [
        ([["pos", "neg"], ["pos"]], ["neg", "pos"], [1, 0, 1]),
        ([["10", 9], ["-1"]], ["-1", "9", "10"], [2, 1, 0]),  # integers are sorted as numbers
    ],
)
def test_found_classes_are_sorted(chunks: list[list[object]], labels: list[str], ids: list[int]) -> None:
    coder = FoundClasses(merged=False)
    assert coded(coder, *chunks).tolist() == ids
    assert coder.labels == labels


def test_stated_classes_keep_their_order_and_may_be_codes() -> None:
    assert coded(Classes(["pos", "neg"], None, stated=True, merged=False), ["neg", "pos"]).tolist() == [1, 0]
    assert coded(Classes(["pos", "neg"], None, stated=True, merged=False), ["1", 0]).tolist() == [1, 0]


def test_values_are_float32() -> None:
    found = coded(Values(), ["0.5", 2])
    assert (found.dtype, found.tolist()) == (np.float32, [0.5, 2.0])


@pytest.mark.parametrize(
    ("coder", "labels", "message"),
    [
        (FoundClasses(merged=False), ["a", "a"], "at least two classes in a.tsv, but found only 'a'"),
        (FoundClasses(merged=False), ["a", "b", ""], "label in each row in a.tsv, but found line 3: no label"),
        (FoundClasses(merged=False), list(range(50)), "50 different numbers in 50 rows.*task=regression"),
        (Values(), [1.0, "x"], "finite number to predict in each row in a.tsv, but found line 2"),
    ],
)
def test_faulty_labels_are_refused(coder: Coder, labels: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        coded(coder, labels)


def test_rows_of_each_spelling_are_counted() -> None:
    found: ClassCoder = FoundClasses(merged=True)
    assert coded(found, ["Pos", "neg", "pos"], ["pos", "NEG"], ["neg"]).tolist() == [1, 0, 1, 1, 0, 0]
    assert found.labels == ["neg", "pos"]  # as most rows spell them
    assert found.spellings == {"neg": {"neg": 2, "NEG": 1}, "pos": {"Pos": 1, "pos": 2}}
    other = Classes(found.labels, found.labels, stated=False, merged=True)
    assert coded(other, ["POS"], ["pos", "Neg"]).tolist() == [1, 1, 0]
    assert other.spellings == {"neg": {"Neg": 1}, "pos": {"POS": 1, "pos": 1}}


def test_names_may_come_after_many_rows_that_look_like_codes() -> None:
    with pytest.raises(InputError, match="line 1: unknown label '1'; line 2: unknown label '0'"):
        coded(Classes(["pos", "neg"], None, stated=True, merged=False), ["1", "0"], ["neg"])
    codes = Classes(["pos", "neg"], None, stated=True, merged=False)
    assert coded(codes, ["1"], ["0"], ["1", "1"]).tolist() == [1, 0, 1, 1]


def test_equal_integers_are_sorted_whatever_the_order_of_rows() -> None:
    for rows in (["01", "1", "0"], ["1", "01", "0"]):
        coder = FoundClasses(merged=False)
        coded(coder, rows)
        assert coder.labels == ["0", "01", "1"]
