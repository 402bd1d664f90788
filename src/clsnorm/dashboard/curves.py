"""Line plots of logged numbers as SVG text, small and plain: a page shows many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clsnorm.dashboard.layout import Panel
from clsnorm.pages import figure as plotting

Series = Sequence[tuple[int, float]]
START, SELECT, NOISE = "cls/start/", "cls/select/", "cls/noise/"
LARGEST = 1e100
GREY, ALARM = "#9a9a9a", "#b2182b"


def draw(
    panel: Panel,
    series: Mapping[str, Series],
    intervals: Mapping[str, tuple[float, float]] | None = None,
    *,
    events: Iterable[int] = (),
) -> str:
    """Returns the panel as SVG text.

    A value that is not finite, or above 1e100, leaves a gap in its line and a cross at the top edge. The line of the
    select split starts with the value measured before training. The value for noise is a dashed line, and the
    interval that holds 95 % of noise is grey.

    Args:
        panel: What to draw.
        series: Steps and values by logged name.
        intervals: Of the values for noise, by logged name.
        events: Steps to mark with a dotted line.
    """
    noise = {name: points for name, points in series.items() if name.startswith(NOISE)}
    lines = _joined(series)
    with plotting.figure() as (figure, axes):
        labels = short_names(list(lines))
        for colour, (name, points) in zip(plotting.colours(len(lines)), lines.items(), strict=True):
            _draw_line(axes, points, labels[name], colour)
        for name, points in noise.items():
            if intervals and name in intervals:
                axes.axhspan(*intervals[name], color=GREY, alpha=0.3, linewidth=0, gid="interval")
            axes.axhline(points[0][1], color=GREY, linestyle="--", label="noise", gid="noise")
        for step in sorted(set(events)):
            axes.axvline(step, color=ALARM, linestyle=":", linewidth=0.7, gid="event")
        if panel.log:
            _scale(axes, [value for points in lines.values() for _, value in points if _can_be_drawn(value)])
        _label(axes, panel, legend=len(lines) + len(noise) > 1, columns=2 if len(lines) > 4 else 1)
        return plotting.finish(figure).svg


def _label(axes: Any, panel: Panel, *, legend: bool, columns: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("optimizer step")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    plotting.title(axes, panel.heading)
    if legend:
        axes.legend(ncols=columns)


def _joined(series: Mapping[str, Series]) -> dict[str, Series]:
    """Returns the lines of a plot; values measured before training come first in the line of the select split."""
    lines: dict[str, Series] = {}
    for name, points in sorted(series.items(), key=lambda item: not item[0].startswith(START)):
        if not name.startswith(NOISE):
            line = name.replace(START, SELECT)
            lines[line] = [*lines.get(line, []), *points]
    return lines


def _scale(axes: Any, values: list[float]) -> None:
    """Makes the y axis logarithmic if the values span more than a decade, with plain numbers at its ticks."""
    if values and min(values) > 0 and max(values) > 10 * min(values):
        from matplotlib.ticker import LogLocator

        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter("{x:g}" if max(values) < 1000 * min(values) else "")


def _draw_line(axes: Any, points: Series, label: str, colour: Any) -> None:
    steps = [step for step, _ in points]
    values = [value if _can_be_drawn(value) else math.nan for _, value in points]
    axes.plot(
        steps,
        values,
        label=plotting.plain(label),
        color=colour,
        marker="o" if len(points) < 15 else None,
        markersize=2.5,
    )
    if bad := [step for step, value in points if not _can_be_drawn(value)]:
        top = {"transform": axes.get_xaxis_transform(), "clip_on": False, "gid": "not-finite"}
        axes.plot(bad, [1.0] * len(bad), "x", color=colour, markersize=5, **top)


def _can_be_drawn(value: float) -> bool:
    """Is the value finite, and far from the largest floats, whose differences are infinite?"""
    return abs(value) < LARGEST


def short_names(names: list[str]) -> dict[str, str]:
    """Returns the parts of each name in which the names differ.

    Example:
        >>> short_names(["cls/select/h/centred_share", "cls/select/z/centred_share"])
        {'cls/select/h/centred_share': 'h', 'cls/select/z/centred_share': 'z'}
    """
    split = [name.split("/") for name in names]
    if len({len(parts) for parts in split}) > 1:
        return {name: name for name in names}
    kept = [index for index, parts in enumerate(zip(*split, strict=True)) if len(set(parts)) > 1]
    return {name: "/".join(parts[i] for i in kept) or name for name, parts in zip(names, split, strict=True)}
