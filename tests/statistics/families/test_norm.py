"""Norms against numpy and scipy."""

from __future__ import annotations

import numpy as np
from rows import assert_references, embeddings
from scipy import stats


def test_each_number_equals_that_of_numpy() -> None:
    rows, _ = embeddings()
    norms = np.linalg.norm(rows, axis=1)
    expected = {
        "mean": norms.mean(),
        "mean_1": np.linalg.norm(rows, 1, axis=1).mean(),
        "variation": stats.variation(norms),
    }
    expected |= {f"p{q:02d}": np.percentile(norms, q) for q in (1, 5, 50, 95, 99)}
    assert_references("norm", expected)
