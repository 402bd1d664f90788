"""Draws of noise against draws of whole embeddings, by Kolmogorov and Smirnov."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clsnorm.statistics import noise_draws
from clsnorm.statistics.noise_draws import (
    DRAWS,
    SPECTRA,
    correlation_draws,
    norm_variations,
    pulls,
    spectra_of,
    standardized_moments,
    wishart_spectra,
    wishart_traces,
)


def noise(count: int, dim: int, draws: int = 600) -> np.ndarray:
    return np.random.default_rng([count, dim]).standard_normal((draws, count, dim))


def assert_same(first: np.ndarray, second: np.ndarray) -> None:
    assert stats.ks_2samp(first, second).pvalue > 1e-3


@pytest.mark.parametrize(("count", "dim"), [(40, 10), (10, 10), (8, 25)])
def test_spectra_are_those_of_rows(count: int, dim: int) -> None:
    rows = noise(count, dim)
    expected = np.linalg.eigvalsh(rows.transpose(0, 2, 1) @ rows)[:, ::-1]
    found = wishart_spectra(dim, count)
    assert found.shape == (SPECTRA, dim)
    assert not found[:, min(count, dim) :].any()
    for k in {0, 1, min(count, dim) - 1}:
        assert_same(found[:, k], expected[:, k])
    trace, square = wishart_traces(dim, count)
    assert len(trace) == DRAWS
    assert_same(trace**2 / square, expected.sum(1) ** 2 / (expected**2).sum(1))


@pytest.mark.parametrize(("count", "dim"), [(40, 6), (5, 9)])
def test_the_mean_fits_the_spectrum(count: int, dim: int) -> None:
    rows = noise(count, dim)
    _, vectors = np.linalg.eigh(rows.transpose(0, 2, 1) @ rows / count)
    along = np.einsum("ri,rij->rj", rows.mean(1), vectors)[:, ::-1]  # along the eigenvectors, largest first
    found = np.sqrt(wishart_spectra(dim, count) / count) * pulls(dim, count)
    assert_same(np.abs(found[:, 0]), np.abs(along[:, 0]))
    assert_same((found**2).sum(1), (along**2).sum(1))


@pytest.mark.parametrize(("free", "dim"), [(30, 6), (4, 6)])
def test_correlations_are_those_of_rows(free: int, dim: int) -> None:
    rows = noise(free + 1, dim)
    first, second = np.triu_indices(dim, 1)
    expected = np.array([np.corrcoef(x.T)[first, second] for x in rows])
    found = correlation_draws(dim, free)
    assert_same(found[:, 3], expected[:, 3])
    assert_same(np.abs(found).mean(1), np.abs(expected).mean(1))


def test_moments_and_norms_are_those_of_rows() -> None:
    rows = noise(20, 7)
    skewness, kurtosis = standardized_moments(20, 7)
    assert_same(skewness, np.abs(stats.skew(rows, axis=1)).mean(1))
    assert_same(kurtosis, stats.kurtosis(rows, axis=1).mean(1))
    norms = np.linalg.norm(rows, axis=2)
    assert_same(norm_variations(7, 20), norms.std(1) / norms.mean(1))


def test_draws_depend_on_the_sizes_alone() -> None:
    first = wishart_spectra(9, 30).copy()
    noise_draws.wishart_spectra.cache_clear()
    np.random.default_rng().standard_normal(5)
    assert (wishart_spectra(9, 30) == first).all()
    assert spectra_of(512) == SPECTRA > spectra_of(513) >= 199
