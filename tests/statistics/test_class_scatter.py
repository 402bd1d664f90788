"""Class means and scatters against numpy."""

from __future__ import annotations

import numpy as np
from rows import N, embeddings, filled

from clsnorm.statistics.class_scatter import ClassScatter


def test_scatters_equal_those_of_their_definitions_and_empty_classes_are_left_out() -> None:
    rows, labels = embeddings()
    labels = labels % 2  # of three classes
    snapshot = filled(rows, labels, cuts=(7,))
    found = ClassScatter(snapshot.classes, snapshot.covariance)
    means = np.stack([rows[labels == c].mean(0) for c in (0, 1)])
    within = sum((labels == c).sum() / N * np.cov(rows[labels == c].T, bias=True) for c in (0, 1))
    assert (found.n, found.number) == (N, 2)
    np.testing.assert_allclose(found.means, means, rtol=1e-10)
    np.testing.assert_allclose(found.within, within, atol=1e-10)
    np.testing.assert_allclose(found.between + found.within, np.cov(rows.T, bias=True), atol=1e-10)
    np.testing.assert_allclose(found.simplex(), means - means.mean(0), atol=1e-10)
