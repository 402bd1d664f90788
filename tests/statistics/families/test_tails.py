"""Kurtosis and skewness against scipy."""

from __future__ import annotations

import numpy as np
from rows import assert_references, embeddings
from scipy import stats


def test_each_number_equals_that_of_scipy() -> None:
    rows, _ = embeddings()
    expected = {
        "kurtosis": stats.kurtosis(rows).mean(),
        "kurtosis_max": stats.kurtosis(rows).max(),
        "skewness": np.abs(stats.skew(rows)).mean(),
        "kurtosis_across": stats.kurtosis(rows, axis=1).mean(),
    }
    assert_references("tails", expected)
