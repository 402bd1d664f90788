"""Expected values of noise against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from clsnorm.statistics.noise import isotropic_eigenvalues, isotropic_energies


@pytest.mark.parametrize(("dim", "count"), [(64, 4000), (100, 150), (200, 100)])
def test_spectrum_of_noise_follows_the_null(dim: int, count: int) -> None:
    draws = [np.random.default_rng(seed).standard_normal((count, dim)) for seed in range(20)]
    found = np.mean([np.sort(np.linalg.eigvalsh(x.T @ x / count))[::-1] for x in draws], axis=0)
    expected = isotropic_eigenvalues(dim, count)
    rank = min(dim, count)
    assert (expected[rank:] == 0).all()
    np.testing.assert_allclose(expected[:rank], found[:rank], atol=0.06 * found[0])
    assert expected[:rank].sum() / dim == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(("dim", "count"), [(64, 4000), (200, 30)])
def test_energy_of_noise_follows_the_null(dim: int, count: int) -> None:
    draws = [np.random.default_rng(seed).standard_normal((count, dim)) for seed in range(50)]
    energies = [np.sort((x**2).mean(0))[::-1] for x in draws]
    found = np.mean([np.cumsum(energy) / energy.sum() for energy in energies], axis=0)
    null = isotropic_energies(dim, count)
    np.testing.assert_allclose(np.cumsum(null) / null.sum(), found, atol=2e-3)
