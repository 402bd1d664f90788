"""The short table at the end of a sweep."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from clsnorm.errors import InputError
from clsnorm.report.answers import Answer, Options, answer
from clsnorm.report.markdown import interval, p_text, signed

ROWS = 30


def short_table(folders: Sequence[Path], *, options: Options | None = None) -> str:
    """Returns a few lines for the terminal: each arm against the baseline, and the command for the full report.

    A sweep without a comparison, such as one of a single arm, gets one line that says why.

    Args:
        folders: Of the sweep.
        options: Baseline and margin.
    """
    command = f"python -m clsnorm.report {' '.join(shlex.quote(str(folder)) for folder in folders)}"
    try:
        found = answer(folders, options or Options(draws=0))
    except InputError as error:
        return f"no comparison: {error}\nfull report: {command}"
    if not found.family:
        return f"no comparison: all runs are of one arm\nfull report: {command}"
    head = f"{'data':<20} {'arm':<34} {'difference':>10}  {'95 % interval':>18}  {'p, adj.':>7}  verdict"
    lines = [_line(one) for one in found.family[:ROWS]]
    more = [f"... and {len(found.family) - ROWS} more"] if len(found.family) > ROWS else []
    chosen = found.options
    title = f"against {chosen.baseline}, in points, over paired seeds and report examples; margin {chosen.margin:g}"
    return "\n".join([title, head, *lines, *more, f"full report: {command}"])


def _line(one: Answer) -> str:
    low, high = one.interval()
    ends = interval({"low": None if low != low else low, "high": high})
    p = None if one.difference_p != one.difference_p else one.difference_p
    mean = None if one.mean != one.mean else one.mean
    task = one.task or "all data sets"
    return f"{task[:20]:<20} {one.arm[:34]:<34} {signed(mean):>10}  {ends:>18}  {p_text(p):>7}  {one.verdict}"
