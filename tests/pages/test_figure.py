"""The palette of all figures, as people with each kind of colour-blindness see it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from clsnorm.pages.figure import DASHES, LINES, PALETTE, Drawn, Look, figure, finish, write_drawn
from clsnorm.report.forest import LOOKS

SEEN = {  # linear RGB as seen without one kind of cone (Machado, Oliveira and Fernandes, 2009, severity 1)
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colours: list[str]) -> np.ndarray:
    rgb = np.array([[int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)] for colour in colours])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def cielab(rgb: np.ndarray) -> np.ndarray:
    xyz = rgb @ XYZ.T / WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def test_the_conversion_is_right_for_white_and_red() -> None:
    np.testing.assert_allclose(cielab(linear(["#ffffff", "#ff0000"])), [[100, 0, 0], [53.24, 80.09, 67.2]], atol=0.02)
    for matrix in SEEN.values():
        np.testing.assert_allclose(np.sum(matrix, axis=1), 1, atol=2e-6)  # grey stays grey


@pytest.mark.parametrize("sight", SEEN)
@pytest.mark.parametrize("colours", [PALETTE, [colour for colour, _ in LOOKS.values()]], ids=["lines", "verdicts"])
def test_colours_are_far_apart(sight: str, colours: list[str]) -> None:
    seen = cielab(np.clip(linear(list(colours)) @ np.array(SEEN[sight]).T, 0, 1))
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) >= 30


def test_colours_have_contrast_with_white_and_lines_differ_without_colour() -> None:
    for colour in (*PALETTE, *(colour for colour, _ in LOOKS.values())):
        luminance = float((linear([colour]) @ XYZ.T)[0, 1])
        assert 1.05 / (luminance + 0.05) >= 3
    assert isinstance(LINES[0], Look)
    assert len(set(DASHES)) == len({look.marker for look in LINES}) == len(LINES) == len(PALETTE)
    assert len({marker for _, marker in LOOKS.values()}) == len(LOOKS)


def test_a_figure_has_a_pdf_only_if_wanted(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("matplotlib")
    with figure() as (drawing, axes):
        axes.plot([0, 1], [0, 1])
        assert isinstance(finish(drawing), Drawn)
        assert [path.suffix for path in write_drawn(tmp_path / "a", finish(drawing))] == [".svg", ".png"]
        assert [path.suffix for path in write_drawn(tmp_path / "b", finish(drawing, pdf=True))] == [
            ".svg",
            ".png",
            ".pdf",
        ]
