"""The figure of one panel."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

from clsnorm.dashboard import Panel
from clsnorm.dashboard.curves import draw

SVG = "{http://www.w3.org/2000/svg}"


def test_a_value_that_is_not_finite_is_marked() -> None:
    panel = Panel("Norms", ("a/*",), "norm", log=True)
    plain = ET.fromstring(draw(panel, {"a/x": [(0, 1.0), (1, 2.0), (2, 3.0)]}))
    marked = ET.fromstring(draw(panel, {"a/x": [(0, 1.0), (1, math.inf), (2, 3.0)]}))
    assert plain.find(".//*[@id='not-finite']") is None
    mark = marked.find(".//*[@id='not-finite']")
    assert mark is not None
    assert len(list(mark.iter(f"{SVG}use"))) == 1


def shown(panel: Panel, series: dict[str, list[tuple[int, float]]], **options: Any) -> ET.Element:
    return ET.fromstring(draw(panel, series, **options))


def test_the_figure_shows_start_noise_and_events() -> None:
    panel = Panel("Share", ("cls/*",), "share")
    line = {"cls/select/h/x": [(9, 0.5), (19, 0.4)]}
    began = shown(panel, {**line, "cls/start/h/x": [(0, 0.9)], "cls/noise/x": [(0, 0.1)]}, events=[7, 7, 12])
    plain = shown(panel, line)
    for name, number in (("noise", 1), ("event", 2)):
        assert (len(plain.findall(f".//*[@id='{name}']")), len(began.findall(f".//*[@id='{name}']"))) == (0, number)
    texts = {element.text for element in began.iter(f"{SVG}text")}
    assert {"Share (share)", "noise"} <= texts  # one line, so that no other name is needed
    assert "h" not in texts
    dots = [len(list(group.iter(f"{SVG}use"))) for group in (began, plain)]
    assert dots[0] > dots[1]


def test_steps_are_whole_numbers() -> None:
    figure = shown(Panel("Loss", ("train/loss",), "nats"), {"train/loss": [(0, 1.0), (1, 0.5), (2, 0.2)]})
    ticks = [element.text or "" for element in figure.iter(f"{SVG}text")]
    assert {"0", "1", "2"} <= set(ticks)
    assert "0.5" in ticks  # a loss may be a fraction
    assert "1.5" not in ticks


def test_drawing_twice_gives_the_same_text() -> None:
    panel = Panel("Loss", ("train/loss",), "nats")
    series = {"train/loss": [(step, 1 / (step + 1)) for step in range(30)]}
    assert draw(panel, series) == draw(panel, series)
