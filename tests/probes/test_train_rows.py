"""The rows of a probe."""

from __future__ import annotations

import numpy as np
import pytest

from clsnorm.probes.train_rows import TrainRows

X = np.random.default_rng(0).normal(size=(30, 4)) * [1, 2, 3, 4]


def test_the_unit_is_the_mean_variance_of_a_dimension() -> None:
    assert TrainRows(X, np.arange(30) % 2, 2).unit == pytest.approx(X.var(axis=0).mean())


def test_means_and_targets_are_those_of_the_present_classes() -> None:
    labels = np.arange(30) % 2 * 2
    found = TrainRows(X, labels, 4)
    assert found.present.tolist() == [0, 2]
    np.testing.assert_allclose(found.means, [X[labels == 0].mean(axis=0), X[labels == 2].mean(axis=0)])
    assert found.targets.sum(axis=0).tolist() == [15, 15]
    assert found.spread(np.ones((1, 2))).tolist() == [[1, -np.inf, 1, -np.inf]]


def test_numbers_are_their_own_target() -> None:
    found = TrainRows(X, np.arange(30.0), 0)
    assert found.targets[:, 0].tolist() == list(range(30))
    assert found.spread(np.ones((2, 1))).shape == (2, 1)
