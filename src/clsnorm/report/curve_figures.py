"""Performance profiles and expected scores by budget, as wide as one column of a paper, or as two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clsnorm.pages import figure as style

COLUMN, PAGE = 3.35, 6.9  # inches: one column of a paper, and both
HEIGHT = 2.2  # inches of a row of panels
MOST_SETS = 6  # panels of the figure of budgets
Line = Mapping[str, Any]
Curves = dict[str, list[tuple[float, float]]]  # by arm

CAPTIONS = {
    "overall": "Performance profile: share of runs above a score, mean over data sets, at tuned learning rates. "
    "Higher is better. The baseline and the arms with the highest shares.",
    "curves": "Expected report score of the run that is best on select among k runs of an arm. The baseline and the "
    "arms with the highest scores on each data set.",
}


def draw_profile(lines: Sequence[Line], *, baseline: str) -> style.Drawn | None:
    """Returns the performance profiles; None if there are none.

    Raises:
        InputError: If matplotlib is not installed.
    """
    curves = _curves(lines, "above", "share")
    if len(curves) < 2:
        return None
    with style.figure(size=(COLUMN, HEIGHT + 0.3)) as (drawing, axes):
        _draw(axes, _chosen(curves, baseline), step=True)
        axes.set(xlabel="score, points", ylabel="share of runs above", ylim=(-0.03, 1.03))
        return style.finish(drawing, pdf=True)


def draw_budgets(lines: Sequence[Line], *, baseline: str) -> style.Drawn | None:
    """Returns a panel for each of the first `MOST_SETS` data sets with a budget of two runs or more; None without any.

    Raises:
        InputError: If matplotlib is not installed.
    """
    tasks = [task for task in dict.fromkeys(line["task"] for line in lines) if _largest(lines, task) > 1][:MOST_SETS]
    if not tasks:
        return None
    columns = min(len(tasks), 3)
    rows = -(-len(tasks) // columns)
    size = (PAGE if columns > 1 else COLUMN, 0.2 + HEIGHT * rows)
    with style.figure(size=size) as (drawing, axes):
        axes.remove()
        panels = drawing.subplots(rows, columns, squeeze=False).ravel()
        for panel, task in zip(panels, tasks, strict=False):
            curves = _curves([line for line in lines if line["task"] == task], "k", "chosen_on_select")
            _draw(panel, _chosen(curves, baseline))
            panel.set(xlabel="runs", ylabel="expected score, points")
            panel.set_title(style.plain(task, longest=30), fontsize=8, loc="left")
            panel.xaxis.get_major_locator().set_params(integer=True)
        for panel in panels[len(tasks) :]:
            panel.remove()
        return style.finish(drawing, pdf=True)


def _largest(lines: Sequence[Line], task: str) -> int:
    return max(line["k"] for line in lines if line["task"] == task)


def _curves(lines: Sequence[Line], x: str, y: str) -> Curves:
    found: Curves = {}
    for line in lines:
        if line[y] is not None:
            found.setdefault(line["arm"], []).append((line[x], line[y]))
    return found


def _chosen(curves: Curves, baseline: str) -> Curves:
    """Returns the baseline and as many of the highest curves as can be told apart, in one order in all figures."""

    def height(arm: str) -> float:
        return sum(value for _, value in curves[arm]) / len(curves[arm])

    others = sorted(set(curves) - {baseline}, key=lambda arm: (-height(arm), arm))
    first = [baseline] if baseline in curves else []
    return {arm: curves[arm] for arm in [*first, *sorted(others[: len(style.PALETTE) - len(first)])]}


def _draw(axes: Any, curves: Curves, *, step: bool = False) -> None:
    for look, (arm, points) in zip(style.LINES, curves.items(), strict=False):
        x, y = zip(*points, strict=True)
        marks = {"marker": look.marker, "markersize": 3, "markevery": max(1, len(points) // 8)}
        kind = {"drawstyle": "steps-post"} if step else {}
        axes.plot(x, y, color=look.colour, linestyle=look.dash, label=style.plain(arm, longest=28), **marks, **kind)
    axes.legend(handlelength=3)
