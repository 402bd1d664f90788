"""Embeddings in a file, found by the row of the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clsnorm.data.tokens.stored_features import StoredFeatures

VALUES = np.arange(24, dtype=np.float32).reshape(6, 4)


@pytest.mark.parametrize("rows", [None, np.array([8, 2, 5, 0, 1, 3])])
def test_rows_get_their_own_values(rows: np.ndarray | None, tmp_path: Path) -> None:
    (tmp_path / "values").write_bytes(VALUES.tobytes())
    stored = StoredFeatures.load(tmp_path / "values", 4, rows, 6 if rows is None else 10)
    names = np.arange(6) if rows is None else rows
    wanted = names[[4, 0, 4]]
    found = stored.of(wanted)
    np.testing.assert_array_equal(found, VALUES[[4, 0, 4]])
    assert found.flags.writeable  # a copy, and not the file
    found[:] = 0
    np.testing.assert_array_equal(stored.of(wanted), VALUES[[4, 0, 4]])
    assert isinstance(stored.values, np.memmap)
    assert stored.of(np.empty(0, np.int64)).shape == (0, 4)


def test_a_split_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "values").touch()
    assert StoredFeatures.load(tmp_path / "values", 4, None, 0).of(np.empty(0, np.int64)).shape == (0, 4)
