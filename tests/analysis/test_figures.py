"""Nulls against simulation, and figures that parse."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from clsnorm.analysis import figures


@pytest.mark.parametrize(("dim", "count"), [(64, 4000), (100, 150), (200, 100)])
def test_spectrum_of_noise_follows_the_null(dim: int, count: int) -> None:
    draws = [np.random.default_rng(seed).standard_normal((count, dim)) for seed in range(20)]
    found = np.mean([np.sort(np.linalg.eigvalsh(x.T @ x / count))[::-1] for x in draws], axis=0)
    expected = figures.marchenko_pastur(dim, count)
    rank = min(dim, count)
    assert np.isnan(expected[rank:]).all()
    np.testing.assert_allclose(expected[:rank], found[:rank], atol=0.06 * found[0])
    assert expected[:rank].sum() / dim == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(("dim", "count"), [(64, 4000), (200, 30)])
def test_energy_of_noise_follows_the_null(dim: int, count: int) -> None:
    draws = [np.random.default_rng(seed).standard_normal((count, dim)) for seed in range(50)]
    energies = [np.sort((x**2).mean(0))[::-1] for x in draws]
    found = np.mean([np.cumsum(energy) / energy.sum() for energy in energies], axis=0)
    np.testing.assert_allclose(figures.isotropic_energy(dim, count), found, atol=2e-3)


def test_figures_are_svg_and_the_same_each_time() -> None:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((200, 24)) + draw.standard_normal(24)
    correlation = np.corrcoef(x.T)

    def drawn() -> list[str]:
        return [
            figures.draw_dimensions(x.mean(0), x.std(0), title="Dimensions"),
            figures.draw_energy({"h": (x**2).mean(0), "z": (x**2).mean(0) + 1}, count=200, title="Energy"),
            figures.draw_spectrum({"h": np.linalg.eigvalsh(np.cov(x.T))}, count=200, title="Spectrum"),
            figures.draw_correlations(correlation, title="Correlations"),
            figures.draw_layers({"a": [1, 2], "b": [2, 1]}, ["0", "1"], unit="share", title="Layers"),
            figures.draw_table(np.array([[0.1, 0.9]]), ["row"], ["left", "right"], unit="share", title="Table"),
        ]

    first = drawn()
    assert all(ET.fromstring(text).tag.endswith("svg") for text in first)
    assert drawn() == first
