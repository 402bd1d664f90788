"""The forest plot: each comparison's difference with its interval, and the margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clsnorm.pages import figure as style
from clsnorm.report.cells import interval

WIDTH = 5.6  # inches; a page of two columns has 7
ROW = 0.19  # inches of a comparison
MOST = 60  # comparisons in one figure; the table has the others
# At least 30 apart in CIELAB, with each kind of colour-blindness, too, and a marker each.
LOOKS = {
    "better": ("#36a53e", "^"),
    "worse": ("#67031e", "v"),
    "equivalent": ("#0f1b5e", "s"),
    "undecided": ("#8e8b91", "o"),
}


def draw_forest(lines: Sequence[Mapping[str, Any]], *, margin: float) -> style.Drawn | None:
    """Returns the figure of the first `MOST` verdicts that have an interval; None if none has.

    Raises:
        InputError: If matplotlib is not installed.
    """
    shown = [line for line in lines if line["low"] is not None][:MOST]
    if not shown:
        return None
    with style.figure(size=(WIDTH, 0.7 + ROW * len(shown))) as (drawing, axes):
        axes.axvspan(-margin, margin, color="#e4e4e4", lw=0)
        axes.axvline(0, color="#222222", lw=0.6)
        for place, line in enumerate(reversed(shown)):
            colour, marker = LOOKS[line["verdict"].partition(" ")[0]]
            text = f"{line['verdict']}, {interval(line)}"
            axes.plot([line["low"], line["high"]], [place, place], color=colour, lw=1.3)
            axes.plot([line["difference"]], [place], marker=marker, color=colour, ms=4.5, ls="none", label=text)
        labels = [style.plain(f"{line['task'] or 'all data sets'}: {line['arm']}", longest=44) for line in shown]
        axes.set_yticks(range(len(shown)), labels[::-1])
        axes.set_ylim(-0.7, len(shown) - 0.3)
        axes.set_xlabel("difference to the baseline, points")
        axes.grid(axis="y", visible=False)
        return style.finish(drawing, pdf=True)
