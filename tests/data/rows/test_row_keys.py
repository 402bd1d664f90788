"""Looking up keys agrees with sets; carving, counting and drawing stay below a hundred bytes per row."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.data.rows.arrangement import arrange
from clsnorm.data.rows.leakage import report
from clsnorm.data.rows.row_keys import among, is_first
from clsnorm.data.rows.rows import Rows
from clsnorm.data.rows.subsets import Subset

QUICK = settings(max_examples=60, deadline=None)
KEYS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=50).map(lambda keys: np.array(keys, np.uint64))


@QUICK
@given(keys=KEYS, known=KEYS)
def test_look_ups_equal_those_of_numpy_and_sets(keys: np.ndarray, known: np.ndarray) -> None:
    assert among(keys, np.sort(known)).tolist() == [key in set(known.tolist()) for key in keys.tolist()]
    ordered = np.sort(keys)
    assert ordered[is_first(ordered)].tolist() == np.unique(keys).tolist()


@pytest.mark.parametrize("drop_leaked", [False, True])
@pytest.mark.parametrize("copies", [1, 3])
def test_carving_counting_and_drawing_take_at_most_a_hundred_bytes_per_row(
    tmp_path: Path, copies: int, drop_leaked: bool
) -> None:
    """With any share of copies among the texts."""
    peaks = {}
    for rows in (50_000, 200_000):
        (folder := tmp_path / str(rows)).mkdir()
        draw = np.random.default_rng(0)
        keys = draw.integers(0, 2**64, rows // copies, dtype=np.uint64)
        arrays = {"labels": draw.integers(0, 2, rows), "starts": np.array([0, rows])}
        for name, array in (arrays | dict.fromkeys(("exact", "near"), draw.permutation(np.resize(keys, rows)))).items():
            np.save(folder / f"train.{name}.npy", array)
        tracemalloc.start()
        parts, _ = arrange({"train": Rows.load(folder, "train")}, drop_leaked=drop_leaked)
        report(parts)
        for subset in (Subset(500, None, 0), Subset(None, 200, 0)):
            assert len(subset.rows(parts["train"].labels, ["a", "b"])) in (500, 400)
        peaks[rows] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[200_000] - peaks[50_000] < 100 * 150_000
