"""Figures that parse, and are the same each time."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from clsnorm.analyze import drawings
from clsnorm.pages.figure import Drawn


def test_figures_are_svg_and_the_same_each_time() -> None:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((200, 24)) + draw.standard_normal(24)
    correlation = np.corrcoef(x.T)
    noise = np.array([[0.1, np.nan], [0.05, np.nan], [0.2, np.nan]])

    def drawn() -> list[Drawn]:
        return [
            drawings.draw_dimensions({"h": (x.mean(0), x.std(0))}, title="Dimensions\nof noise"),
            drawings.draw_energy({"h": (x**2).mean(0), "z": (x**2).mean(0) + 1}, count=200, title="Energy"),
            drawings.draw_spectrum({"h": np.linalg.eigvalsh(np.cov(x.T))}, count=200, title="Spectrum"),
            drawings.draw_correlations({"before": correlation, "after": correlation.T}, title="Correlations"),
            drawings.draw_layers({"a": [1, 2], "b": [2, 1]}, noise, ["0", "1"], unit="share", title="Layers"),
            drawings.draw_table(np.array([[0.1, 0.9]]), ["row"], ["left", "right"], unit="share", title="Table"),
        ]

    first = drawn()
    undefined = drawings.draw_table(np.array([[np.nan, 0.9]]), ["row"], ["0", "1"], unit="share", title="Table")
    assert "nan" not in undefined.svg.casefold()
    assert "–" in undefined.svg
    assert all(ET.fromstring(figure.svg).tag.endswith("svg") for figure in first)
    assert all(figure.png.startswith(b"\x89PNG") for figure in first)
    assert drawn() == first
