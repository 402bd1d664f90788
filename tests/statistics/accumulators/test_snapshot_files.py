"""Files of accumulators; other files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rows import embeddings, filled

from clsnorm.errors import InputError
from clsnorm.statistics import describe, load, save


def test_a_loaded_snapshot_has_the_statistics_of_the_saved_one(tmp_path: Path) -> None:
    snapshot = filled(*embeddings(), cuts=(7, 100))
    save(tmp_path / "file.npz", snapshot)
    assert describe(load(tmp_path / "file.npz")) == describe(snapshot)


@pytest.mark.parametrize("kind", ["garbage", "array", "foreign", "cut", "incomplete"])
def test_a_file_that_is_not_a_snapshot_is_refused(tmp_path: Path, kind: str) -> None:
    path, whole = tmp_path / "file.npz", tmp_path / "whole.npz"
    save(whole, filled(*embeddings()))
    with np.load(whole) as file:
        part = {name: array for name, array in file.items() if name != "tails/powers"}
    {
        "garbage": lambda: path.write_bytes(b"no archive"),
        "array": lambda: np.save(path.open("wb"), np.ones(3)),
        "foreign": lambda: np.savez(path, other=np.ones(3)),
        "cut": lambda: path.write_bytes(whole.read_bytes()[:200]),
        "incomplete": lambda: np.savez(path, **part),
    }[kind]()
    with pytest.raises(InputError, match=r"file\.npz"):
        load(path)
