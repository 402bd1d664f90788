"""Correlations of dimensions against numpy."""

from __future__ import annotations

import numpy as np
from rows import D, assert_references, embeddings


def test_each_number_equals_that_of_numpy() -> None:
    rows, _ = embeddings()
    r = np.corrcoef(rows.T)[np.triu_indices(D, 1)]
    assert_references("correlation", {"mean_absolute": np.abs(r).mean(), "mean_square": (r**2).mean()})
