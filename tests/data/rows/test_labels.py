"""Encoding of labels: stated classes, found classes, and values."""

from __future__ import annotations

import numpy as np
import pytest

from clsnorm.data import Table
from clsnorm.data.rows.labels import Classes, Coder, FoundClasses, Values
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
    coder = FoundClasses()
    assert coded(coder, *chunks).tolist() == ids
    assert coder.labels == labels


def test_stated_classes_keep_their_order_and_may_be_codes() -> None:
    assert coded(Classes(["pos", "neg"], stated=True), ["neg", "pos"]).tolist() == [1, 0]
    assert coded(Classes(["pos", "neg"], stated=True), ["1", 0]).tolist() == [1, 0]


def test_values_are_float32() -> None:
    found = coded(Values(), ["0.5", 2])
    assert (found.dtype, found.tolist()) == (np.float32, [0.5, 2.0])


@pytest.mark.parametrize(
    ("coder", "labels", "message"),
    [
        (FoundClasses(), ["a", "a"], "at least two classes in a.tsv, but found only 'a'"),
        (FoundClasses(), ["a", "b", ""], "label in each row in a.tsv, but found line 3: no label"),
        (FoundClasses(), list(range(50)), "50 different numbers in 50 rows.*task=regression"),
        (Values(), [1.0, "x"], "finite number to predict in each row in a.tsv, but found line 2"),
    ],
)
def test_faulty_labels_are_refused(coder: Coder, labels: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        coded(coder, labels)
