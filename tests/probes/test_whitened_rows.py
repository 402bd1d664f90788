"""Whitened rows: unit covariance, lengths of weights, dead dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from clsnorm.probes.whitened_rows import WhitenedRows


@pytest.fixture
def x() -> np.ndarray:
    draw = np.random.default_rng(0)
    return draw.normal(size=(200, 6)) @ draw.normal(size=(6, 6)) * np.geomspace(1e-3, 1e3, 6) + 100


def test_rows_have_mean_zero_and_unit_covariance(x: np.ndarray) -> None:
    found = WhitenedRows.of(x)
    np.testing.assert_allclose(found.rows.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found.rows.T @ found.rows / len(x), np.eye(6), atol=1e-7)
    np.testing.assert_allclose(found.take(x), found.rows, atol=1e-12)


def test_variances_are_the_eigenvalues_of_the_covariance(x: np.ndarray) -> None:
    expected = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    found = WhitenedRows.of(x).variances
    np.testing.assert_allclose(found[:3], expected[:3], rtol=1e-6)
    assert found.sum() == pytest.approx(expected.sum())


def test_the_length_of_weights_is_that_on_the_rows_as_given(x: np.ndarray) -> None:
    found = WhitenedRows.of(x)
    a = np.random.default_rng(1).normal(size=(6, 2))
    assert (a**2 / found.variances[:, None]).sum() == pytest.approx(((found.from_rows @ a) ** 2).sum())


def test_constant_dead_and_repeated_columns_drop_out(x: np.ndarray) -> None:
    dead = 1e-20 * np.random.default_rng(2).normal(size=(200, 1))
    wide = np.concatenate([x, np.full((200, 1), 0.3), dead, x[:, :1] + x[:, 1:2]], axis=1)
    found = WhitenedRows.of(wide)
    assert found.rows.shape == (200, 6)
    assert (found.from_rows[6:8] == 0).all()


def test_weights_lie_in_the_span_of_the_rows() -> None:
    draw = np.random.default_rng(3)
    x = draw.normal(size=(5, 12)) * np.geomspace(0.1, 10, 12)
    found = WhitenedRows.of(x)
    centred = x - x.mean(axis=0)
    assert found.rows.shape == (5, 4)
    outside = np.linalg.svd(centred)[2][4:]
    np.testing.assert_allclose(outside @ found.from_rows, 0, atol=1e-10)


def test_rows_that_do_not_vary_have_no_coordinates() -> None:
    assert WhitenedRows.of(np.ones((3, 2))).rows.shape == (3, 0)
    assert WhitenedRows.of(np.ones((1, 2))).rows.shape == (1, 0)
