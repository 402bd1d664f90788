"""Shares of the mean square against numpy."""

from __future__ import annotations

import math

import numpy as np
from rows import assert_references, embeddings


def test_each_number_equals_that_of_its_definition() -> None:
    rows, _ = embeddings()
    energy, root = np.sort((rows**2).mean(0))[::-1], math.sqrt(rows.shape[1])
    expected = {
        "top_percent": energy[0] / energy.sum(),
        "hoyer": (root - energy.sum() / np.linalg.norm(energy)) / (root - 1),
    }
    expected |= {f"top_{k}": energy[:k].sum() / energy.sum() for k in (1, 3, 5, 10)}
    assert_references("energy", expected)
