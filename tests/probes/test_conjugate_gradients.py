"""Conjugate gradients against a direct solution."""

from __future__ import annotations

import numpy as np

from clsnorm.probes.conjugate_gradients import conjugate_gradients


def test_conjugate_gradients_solve() -> None:
    draw = np.random.default_rng(0)
    root = draw.normal(size=(6, 6))
    matrix, target = root @ root.T, draw.normal(size=(6, 1))
    scales = np.diag(matrix)[:, None]
    found, reached = conjugate_gradients(lambda v: matrix @ v, target, lambda v: v / scales, accuracy=1e-12)
    assert reached
    assert not conjugate_gradients(lambda v: matrix @ v, target, lambda v: v / scales, accuracy=1e-12, most=2)[1]
    np.testing.assert_allclose(found, np.linalg.solve(matrix, target), rtol=1e-6)


def test_nothing_to_solve_takes_no_product() -> None:
    def forbidden(v: np.ndarray) -> np.ndarray:
        raise AssertionError

    found, reached = conjugate_gradients(forbidden, np.zeros((3, 1)), lambda v: v, accuracy=0.1)
    assert reached
    assert (found == 0).all()
