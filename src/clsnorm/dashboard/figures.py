"""Line plots as SVG, by matplotlib, quiet enough to be read many at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clsnorm import plotting
from clsnorm.dashboard.layout import Panel

Series = Sequence[tuple[int, float]]


def draw(panel: Panel, series: Mapping[str, Series]) -> str:
    """Returns the panel as SVG text.

    A value that is not finite leaves a gap, and a mark at the top edge of the plot: it is not silently dropped.

    Args:
        panel: What to draw.
        series: Steps and values by logged name.
    """
    with plotting.figure() as (figure, axes):
        labels = short_names(list(series))
        for colour, (name, points) in zip(plotting.colours(len(series)), series.items(), strict=True):
            _draw_line(axes, points, labels[name], colour)
        if panel.log:
            _scale(axes, [value for points in series.values() for _, value in points if math.isfinite(value)])
        axes.set_xlabel("optimizer step")
        axes.set_ylabel(panel.unit)
        plotting.title(axes, panel.title)
        if len(series) > 1:
            axes.legend(ncols=2 if len(series) > 4 else 1)
        return plotting.finish(figure).svg


def _scale(axes: Any, values: list[float]) -> None:
    """Makes the axis logarithmic where values span a decade, with plain numbers at its ticks."""
    if values and min(values) > 0 and max(values) > 10 * min(values):
        from matplotlib.ticker import LogLocator

        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter("{x:g}" if max(values) < 1000 * min(values) else "")


def _draw_line(axes: Any, points: Series, label: str, colour: Any) -> None:
    steps = [step for step, _ in points]
    values = [value if math.isfinite(value) else math.nan for _, value in points]
    axes.plot(steps, values, label=label, color=colour, marker="o" if len(points) < 15 else None, markersize=2.5)
    if bad := [step for step, value in points if not math.isfinite(value)]:
        top = {"transform": axes.get_xaxis_transform(), "clip_on": False, "gid": "not-finite"}
        axes.plot(bad, [1.0] * len(bad), "x", color=colour, markersize=5, **top)


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
