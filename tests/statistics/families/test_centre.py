"""Numbers of the mean against numpy."""

from __future__ import annotations

import numpy as np
from rows import assert_references, embeddings, filled

from clsnorm.statistics import describe


def test_each_number_equals_that_of_its_definition() -> None:
    rows, _ = embeddings()
    mean, norms = rows.mean(0), np.linalg.norm(rows, axis=1)
    rest = np.argsort((rows**2).mean(0))[:-5]
    expected = {
        "centred_share": (mean**2).sum() / (norms**2).mean(),
        "centred_share_without_5": (mean**2)[rest].sum() / (rows**2).mean(0)[rest].sum(),
        "mean_to_norm": np.linalg.norm(mean) / norms.mean(),
        "sign_constant": (np.abs(mean) > 2 * rows.std(0)).mean(),
    }
    assert_references("centre", expected)


def test_a_mean_in_a_few_dimensions_is_far_from_centred_only_because_of_them() -> None:
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((400, 60))
    rows[:, [3, 9, 40]] += 25
    found = describe(filled(rows, draw.integers(0, 3, 400)), intervals=True)
    assert (found["centre/centred_share"].verdict, found["centre/centred_share_without_5"].verdict) == (
        "above",
        "within",
    )
    assert found["centre/centred_share"].value > 0.9
