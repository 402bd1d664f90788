"""Line plots as SVG, by matplotlib, quiet enough to be read many at a time."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from clsnorm.dashboard.layout import Panel

Series = Sequence[tuple[int, float]]
SIZE = (4.6, 2.7)  # inches
PALETTE = ("#2166ac", "#d6604d", "#1b7837", "#762a83", "#b8860b", "#4d4d4d")  # told apart by the colour-blind, too
STYLE = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "#e2e2e2",
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "legend.fontsize": 7.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "clsnorm",  # the same figure is the same text
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


def draw(panel: Panel, series: Mapping[str, Series]) -> str:
    """Returns the panel as SVG text.

    A value that is not finite leaves a gap, and a mark at the top edge of the plot: it is not silently dropped.

    Args:
        panel: What to draw.
        series: Steps and values by logged name.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        labels = short_names(list(series))
        for colour, (name, points) in zip(_colours(len(series)), series.items(), strict=True):
            _draw_line(axes, points, labels[name], colour)
        values = [value for points in series.values() for _, value in points if math.isfinite(value)]
        if panel.log and values and min(values) > 0:
            axes.set_yscale("log")
        axes.set_xlabel("optimizer step")
        axes.set_ylabel(panel.unit)
        axes.set_title(panel.title, loc="left", fontsize=9, fontweight="bold")
        if len(series) > 1:
            axes.legend(ncols=2 if len(series) > 4 else 1)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _draw_line(axes: Any, points: Series, label: str, colour: Any) -> None:
    steps = [step for step, _ in points]
    values = [value if math.isfinite(value) else math.nan for _, value in points]
    axes.plot(steps, values, label=label, color=colour, marker="o" if len(points) < 15 else None, markersize=2.5)
    if bad := [step for step, value in points if not math.isfinite(value)]:
        top = {"transform": axes.get_xaxis_transform(), "clip_on": False, "gid": "not-finite"}
        axes.plot(bad, [1.0] * len(bad), "x", color=colour, markersize=5, **top)


def _colours(number: int) -> list[Any]:
    """A palette for a few lines; a dark-to-light scale for many, such as layers."""
    import matplotlib as mpl

    if number <= len(PALETTE):
        return list(PALETTE[:number])
    return [mpl.colormaps["viridis"](0.9 * index / (number - 1)) for index in range(number)]


def short_names(names: list[str]) -> dict[str, str]:
    """Returns the parts of each name that are not common to all of them.

    Example:
        >>> short_names(["cls/select/h/centred_share", "cls/select/z/centred_share"])
        {'cls/select/h/centred_share': 'h', 'cls/select/z/centred_share': 'z'}
    """
    split = [name.split("/") for name in names]
    if len({len(parts) for parts in split}) > 1:
        return {name: name for name in names}
    kept = [index for index, parts in enumerate(zip(*split, strict=True)) if len(set(parts)) > 1]
    return {name: "/".join(parts[i] for i in kept) or name for name, parts in zip(names, split, strict=True)}
