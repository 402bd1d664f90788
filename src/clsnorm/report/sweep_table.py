"""The short table at the end of a sweep."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

from clsnorm.errors import InputError
from clsnorm.report.answers import Answer, Options, answer
from clsnorm.report.cells import interval, p_text, signed
from clsnorm.run_folder import RunFolder, find_runs

log = logging.getLogger(__name__)

ROWS = 30


def print_after_sweep(folder: Path, runs: Sequence[Path]) -> None:
    """Prints the table of a sweep's folder, to which other processes and earlier commands may have added runs.

    If the folder holds runs that must not be pooled, the table is of this command's alone.
    Nothing is printed for a single run, or if no table can be made, which is logged.

    Args:
        folder: Of the sweep.
        runs: Of this command.
    """
    try:
        done = [run.path for run in find_runs(folder) if run.results.exists()]
        mine = [run for run in runs if RunFolder(run).results.exists()]
        if max(len(done), len(mine)) < 2:
            return
        try:
            text = _table([folder], [folder], Options(draws=0))
        except InputError:
            text = short_table(mine or [folder], whole=[folder])
    except Exception as error:  # the sweep itself is well, whatever is wrong here
        log.warning("no table of the sweep: %s: %s", type(error).__name__, error)
        return
    print(text)


def short_table(folders: Sequence[Path], *, whole: Sequence[Path] = (), options: Options | None = None) -> str:
    """Returns a few lines for the terminal: each arm against the baseline, and the command for the full report.

    A sweep without a comparison, such as one of a single arm, gets one line that says why.

    Args:
        folders: Of sweeps or runs.
        whole: The folders that the command names, if it should name others.
        options: Baseline and margin.
    """
    try:
        return _table(folders, whole or folders, options or Options(draws=0))
    except InputError as error:
        return f"no comparison: {error}\n{_command(whole or folders)}"


def _command(folders: Sequence[Path]) -> str:
    return f"full report: python -m clsnorm.report {' '.join(shlex.quote(str(folder)) for folder in folders)}"


def _table(folders: Sequence[Path], whole: Sequence[Path], options: Options) -> str:
    """Returns the table; raises InputError if the runs cannot be compared."""
    found = answer(folders, options)
    if not found.family:
        raise InputError("all runs are of one arm")
    head = f"{'data':<20} {'arm':<34} {'difference':>10}  {'95 % interval':>18}  {'p, adj.':>7}  verdict"
    lines = [_line(one) for one in found.family[:ROWS]]
    more = [f"... and {len(found.family) - ROWS} more"] if len(found.family) > ROWS else []
    title = (
        f"against {options.baseline}, in points, over paired seeds and report examples of {len(found.rows)} runs; "
        f"margin {options.margin:g}"
    )
    return "\n".join([title, head, *lines, *more, _command(whole)])


def _line(one: Answer) -> str:
    low, high = one.interval()
    ends = interval({"low": None if low != low else low, "high": high})
    p = None if one.difference_p != one.difference_p else one.difference_p
    mean = None if one.mean != one.mean else one.mean
    task = one.task or "all data sets"
    return f"{task[:20]:<20} {one.arm[:34]:<34} {signed(mean):>10}  {ends:>18}  {p_text(p):>7}  {one.verdict}"
