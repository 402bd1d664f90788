"""Numbers of the mean against numpy."""

from __future__ import annotations

import numpy as np
from rows import assert_references, embeddings


def test_each_number_equals_that_of_its_definition() -> None:
    rows, _ = embeddings()
    mean, norms = rows.mean(0), np.linalg.norm(rows, axis=1)
    expected = {
        "centred_share": (mean**2).sum() / (norms**2).mean(),
        "mean_to_norm": np.linalg.norm(mean) / norms.mean(),
        "sign_constant": (np.abs(mean) > 2 * rows.std(0)).mean(),
    }
    assert_references("centre", expected)
