"""The points of a figure's lines, as data of its SVG element: a page shows the nearest one under the pointer."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MOST = 200  # points of a line
ATTRIBUTE = "data-lines"


def with_points(svg: str, drawing: Figure) -> str:
    """Returns the SVG text with the points of all lines that have a label, if any.

    A line has a ``name``, the labels ``x`` and ``y`` of its axes, and in ``points`` for each point its place as shares
    of the figure's width and height from the upper left, and both values as text.

    Args:
        svg: Of a figure that was drawn, so that its layout is final.
        drawing: The figure.
    """
    lines = [found for axes in drawing.axes for line in axes.get_lines() if (found := _describe(line, axes, drawing))]
    if not lines:
        return svg
    text = escape(json.dumps(lines, ensure_ascii=False, separators=(",", ":")))
    return svg.replace("<svg", f'<svg {ATTRIBUTE}="{text}"', 1)


def as_shown(text: str) -> str:
    """Returns a text as matplotlib shows it: `clsnorm.pages.figure.plain` undone."""
    return text.replace(r"\$", "$")


def _describe(line: Line2D, axes: Axes, drawing: Figure) -> dict[str, Any] | None:
    name = str(line.get_label())
    if name.startswith("_") or line.get_transform() != axes.transData:  # without a label, or drawn across the axes
        return None
    data = np.asarray(line.get_xydata(), dtype=np.float64)
    data = data[np.isfinite(data).all(1)]
    data = data[:: -(-len(data) // MOST) or 1]
    places = axes.transData.transform(data) / (drawing.bbox.width, drawing.bbox.height)
    inside = axes.get_window_extent()
    shown = [
        [round(x, 4), round(1 - y, 4), _text(value[0], axes.xaxis), _text(value[1], axes.yaxis)]
        for (x, y), value in zip(places.tolist(), data.tolist(), strict=True)
        if inside.x0 - 1 <= x * drawing.bbox.width <= inside.x1 + 1
        and inside.y0 - 1 <= y * drawing.bbox.height <= inside.y1 + 1
    ]
    labels = {"x": axes.get_xlabel(), "y": axes.get_ylabel()}
    return {"name": as_shown(name), **labels, "points": shown} if shown else None


def _text(value: float, axis: Any) -> str:
    """Returns a value as its tick names it, or else with four significant digits."""
    from matplotlib.ticker import FixedLocator

    named = axis.get_major_formatter()(value) if isinstance(axis.get_major_locator(), FixedLocator) else ""
    return as_shown(str(named)) or f"{value:.4g}"
