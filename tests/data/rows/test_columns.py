"""What is gone over piece by piece is what an array would give, and memory does not grow with the rows."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clsnorm.data.rows import columns, splits
from clsnorm.data.rows.arrangement import arrange
from clsnorm.data.rows.arrays import write_array
from clsnorm.data.rows.columns import Chosen, Stored, find, length, shares, starts, taken, tally
from clsnorm.data.rows.leakage import report
from clsnorm.data.rows.parts import Rows
from clsnorm.data.rows.selection import Selection
from clsnorm.data.rows.subsets import Subset

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEYS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=50).map(lambda keys: np.array(keys, np.uint64))
IDS = st.lists(st.integers(0, 5), min_size=1, max_size=50).map(np.array)
PIECES = st.integers(1, 60)


def cut(column: np.ndarray, piece: int) -> list[np.ndarray]:
    return [column[start : start + piece] for start in range(0, max(1, len(column)), piece)]


@QUICK
@given(column=IDS, piece=PIECES, written=PIECES, data=st.data())
def test_a_column_is_that_of_its_array(tmp_path: Path, column: np.ndarray, piece: int, written: int, data: Any) -> None:
    write_array(tmp_path / "a.npy", cut(column, written))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "PIECE", piece)
        stored = Stored(tmp_path / "a.npy")
        assert [part.tolist() for part in stored] == [part.tolist() for part in cut(column, piece)]
        assert length(stored) == len(column)
        assert tally(stored, 4).tolist() == np.bincount(column, minlength=4).tolist()
        places = np.array(data.draw(st.permutations(range(len(column)))))[: len(column) // 2]
        assert taken(stored, places).tolist() == column[places].tolist()
        mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(column), max_size=len(column))))
        assert np.concatenate(list(Chosen(stored, mask))).tolist() == column[mask].tolist()


@QUICK
@given(keys=KEYS, known=KEYS)
def test_look_ups(keys: np.ndarray, known: np.ndarray) -> None:
    known = np.unique(known)
    there, places = find(keys, known)
    assert there.tolist() == [key in set(known.tolist()) for key in keys.tolist()]
    assert known[places].tolist() == keys[there].tolist()
    ordered = np.sort(keys)
    assert ordered[starts(ordered)].tolist() == np.unique(keys).tolist()


@QUICK
@given(keys=KEYS, piece=PIECES, most=st.integers(1, 60))
def test_shares_hold_all_rows_of_their_keys(keys: np.ndarray, piece: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "SHARE", most)
        found = list(shares(cut(keys, piece), cut(keys // 2, piece)))
    assert sorted(np.concatenate([places for places, *_ in found]).tolist()) == list(range(len(keys)))
    seen = [set(own.tolist()) for _, own, _ in found]
    assert sum(map(len, seen)) == len(set(keys.tolist()))
    for places, own, beside in found:
        assert own.tolist() == keys[places].tolist()
        assert beside.tolist() == (own // 2).tolist()
        assert list(zip(own.tolist(), places.tolist(), strict=True)) == sorted(
            zip(own.tolist(), places.tolist(), strict=True)
        )


@QUICK
@given(total=st.integers(1, 40), data=st.data())
def test_a_selection_is_what_it_lists_or_the_rest(total: int, data: Any) -> None:
    def some(of: int) -> np.ndarray:
        return np.array(sorted(data.draw(st.sets(st.integers(0, of - 1)))) if of else [], np.int64)

    listed = some(total)
    selections = [Selection.everything(total), Selection.of(total, listed), Selection(total, listed, left_out=True)]
    for selection, rows in zip(
        selections, [np.arange(total), listed, np.delete(np.arange(total), listed)], strict=True
    ):
        places = some(len(rows))
        assert len(selection) == len(rows)
        assert selection.numbers().tolist() == rows.tolist()
        assert selection.rows(places).tolist() == rows[places].tolist()
        assert [piece.tolist() for piece in selection.pieces(3)] == [p.tolist() for p in cut(rows, 3) if len(p)]
        assert selection.only(places).numbers().tolist() == rows[places].tolist()
        assert selection.without(places).numbers().tolist() == np.delete(rows, places).tolist()
        first, last = sorted((data.draw(st.integers(0, total)), data.draw(st.integers(0, total))))
        assert selection[first:last].tolist() == np.isin(np.arange(first, last), rows).tolist()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(columns, "PIECE", 1 << 12)
    monkeypatch.setattr(columns, "SHARE", 1 << 14)
    monkeypatch.setattr(splits, "AT_MOST", splits.AT_LEAST)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("copies", [1, 3])
def test_carving_counting_and_drawing_take_a_few_bytes_a_row(tmp_path: Path, copies: int) -> None:
    """However many of the texts are copies."""
    peaks = {}
    for rows in (20_000, 80_000):
        (folder := tmp_path / str(rows)).mkdir()
        draw = np.random.default_rng(0)
        keys = draw.integers(0, 2**64, rows // copies, dtype=np.uint64)
        arrays = {"labels": draw.integers(0, 2, rows), "starts": np.array([0, rows])}
        for name, array in (arrays | dict.fromkeys(("exact", "near"), draw.permutation(np.resize(keys, rows)))).items():
            np.save(folder / f"train.{name}.npy", array)
        tracemalloc.start()
        parts, _ = arrange({"train": Rows(folder, "train")}, drop_leaked=False)
        report(parts)
        for subset in (Subset(500, None, 0), Subset(None, 200, 0)):
            assert len(subset.rows(parts["train"].column("labels"), ["a", "b"])) in (500, 400)
        peaks[rows] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[80_000] - peaks[20_000] < 3 * 60_000
