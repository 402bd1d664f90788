"""The points in a figure's data are where the SVG draws them."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import numpy as np
import pytest

from clsnorm.pages import figure as plotting
from clsnorm.pages.figure_points import MOST

pytest.importorskip("matplotlib")


def lines_of(svg: str) -> list[dict[str, Any]]:
    found = re.search(r'data-lines="([^"]*)"', svg)
    return json.loads(unescape(found[1])) if found else []


def test_points_are_where_their_markers_are_drawn() -> None:
    x, y = [1.0, 2.0, 4.0], [0.5, 10.0, 200.0]
    with plotting.figure() as (drawing, axes):
        axes.plot(x, y, "o", label='a "line" & <more>')
        axes.set_yscale("log")
        axes.set(xlabel="step", ylabel="loss")
        svg = plotting.finish(drawing).svg
    (line,) = lines_of(svg)
    assert (line["name"], line["x"], line["y"]) == ('a "line" & <more>', "step", "loss")
    assert [point[2:] for point in line["points"]] == [["1", "0.5"], ["2", "10"], ["4", "200"]]
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())  # type: ignore[union-attr]
    (markers,) = re.findall(r'<g clip-path="[^"]*">\s*((?:<use [^>]*/>\s*)+)</g>', svg)
    uses = [tuple(map(float, use)) for use in re.findall(r'x="([\d.]+)" y="([\d.]+)"', markers)]
    np.testing.assert_allclose([[p[0] * width, p[1] * height] for p in line["points"]], uses, atol=0.1)


def test_ticks_with_names_name_their_points() -> None:
    with plotting.figure() as (drawing, axes):
        axes.plot([0, 1], [1, 2], label="line")
        axes.set_xticks([0, 1], ["first", r"a\$b"])
        svg = plotting.finish(drawing).svg
    assert [point[2] for point in lines_of(svg)[0]["points"]] == ["first", "a$b"]


def test_long_lines_are_thinned_and_undefined_points_and_lines_without_a_name_left_out() -> None:
    with plotting.figure() as (drawing, axes):
        axes.plot(np.arange(1000), np.where(np.arange(1000) == 0, np.nan, 1.0), label="long")
        axes.plot([0, 1], [1, 1])
        axes.axhline(1.0, label="across")
        svg = plotting.finish(drawing).svg
    (line,) = lines_of(svg)
    assert line["name"] == "long"
    assert MOST / 2 < len(line["points"]) <= MOST
    with plotting.figure() as (drawing, axes):
        axes.plot([0, 1], [1, 1])
        assert lines_of(plotting.finish(drawing).svg) == []
