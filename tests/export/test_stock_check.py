"""The comparison that an export must pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clsnorm.export.stock_check import DifferentModelError, compare, largest_difference, standalone_logits

LOGITS = np.array([[0.0, 4.0], [1.0, -1.0]], np.float32)


def test_equal_models_pass() -> None:
    found = compare(LOGITS, LOGITS + np.float32(2e-5))
    assert found["rows"] == found["equal_answers"] == 2
    assert found["range"] == 5.0
    assert found["largest_difference"] == pytest.approx(4e-6, rel=0.05)
    assert compare(np.ones((2, 1), np.float32), np.ones((2, 1), np.float32))["largest_difference"] == 0.0


@pytest.mark.parametrize(
    "other",
    [
        LOGITS + np.float32(1e-4),
        LOGITS[:1],
        np.where(LOGITS == 4, np.nan, LOGITS),
    ],
)
def test_different_models_are_refused(other: np.ndarray) -> None:
    with pytest.raises(DifferentModelError):
        compare(LOGITS, other)


def test_another_answer_is_refused_even_if_logits_are_close() -> None:
    near = np.array([[0.0, 1e-7], [9.0, 0.0]], np.float32)
    with pytest.raises(DifferentModelError, match="1 of 2 answers"):
        compare(near, near[:, :] + np.array([[2e-7, 0.0], [0.0, 0.0]], np.float32))
    assert largest_difference(near, near) == 0.0


def test_a_folder_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(DifferentModelError, match="cannot be loaded"):
        standalone_logits(tmp_path, [["a"]], max_length=8)
