"""A sweep in words: which jobs are where, how long the rest takes, how much disk it uses."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clsnorm.errors import InputError
from clsnorm.progress import duration
from clsnorm.run_folder.lease import PARENT
from clsnorm.sweep import slurm_commands
from clsnorm.sweep.disk import bytes_in, expected_bytes, readable
from clsnorm.sweep.expectation import Expectation
from clsnorm.sweep.job_state import DONE, INTERRUPTED, NOT_STARTED, RUNNING, STATES, JobState, look_at_all
from clsnorm.sweep.planned_job import PlannedJob, read_plan
from clsnorm.sweep.submission import submissions

BRIEF = (DONE, NOT_STARTED)  # states whose jobs are counted; those of others are listed
SHORTFALLS = ("failed", "collapsed")  # of a run that is done


def status_lines(folder: Path, *, every: bool = False) -> Iterator[str]:
    """Yields the lines of ``sweep status``.

    Args:
        folder: Of the sweep.
        every: Whether to list all jobs.

    Raises:
        InputError: If it is no sweep's folder.
    """
    if not folder.is_dir():
        raise InputError(f"Expected the folder of a sweep, but {folder} does not exist. `ls multirun` lists sweeps")
    planned = read_plan(folder)
    states = settled(folder, look_at_all(folder, planned))
    if not states:
        raise InputError(f"Expected the folder of a sweep, but {folder} holds no jobs")
    yield f"{folder}: {len(states)} jobs"
    counts = Counter(state.state for state in states)
    for state in STATES:
        if counts[state]:
            yield f"  {state:<12}{counts[state]:>6}{_shortfall(states) if state == DONE else ''}"
    for job in states:
        if every or job.state not in BRIEF:
            yield f"{job.state}: {job.folder.name}{f' ({job.note})' if job.note else ''}"
    yield from _worker_lines(folder)
    yield from _time_and_disk(folder, states, {job.name: job for job in planned})


def settled(folder: Path, states: Sequence[JobState]) -> list[JobState]:
    """Returns the states, with jobs as interrupted whose process on another machine has long given no sign.

    Nobody takes a job for that: a worker waits for a sign itself. The times compared are both of the file system, since
    the clocks of two machines may differ.
    """
    remote = [state for state in states if state.holder is not None and not state.holder.is_here()]
    now = _time_on(folder) if remote else 0.0
    found = {state.folder: _settled(state, now) for state in remote}
    return [found.get(state.folder, state) for state in states]


def _settled(state: JobState, now: float) -> JobState:
    assert state.holder is not None
    try:
        silent = now - (state.folder / PARENT / state.holder.token).stat().st_mtime
    except OSError:
        return state
    if silent <= state.holder.silence:
        return state
    return replace(state, state=INTERRUPTED, note=f"{state.note}, no sign for {duration(silent)}", holder=None)


def _time_on(folder: Path) -> float:
    """Returns the time by the clock that stamps files in a folder; this machine's if it cannot be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".now-") as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:
        return time.time()


def _worker_lines(folder: Path) -> Iterator[str]:
    """Yields how the workers are that were submitted to a cluster, if there are any."""
    known = [submission.name for submission in submissions(folder.absolute())]
    if not known:
        return
    try:
        alive = slurm_commands.queued(known, answer=slurm_commands.QUICK_ANSWER)
    except InputError:
        yield "workers of SLURM: unknown, as squeue does not answer here"
        return
    yield f"workers of SLURM: {slurm_commands.counted(alive) or 'none; the command of the sweep submits new ones'}"


def _shortfall(states: Sequence[JobState]) -> str:
    done = [state.results for state in states if state.state == DONE]
    worse = sum(bool(results.get("failed", results.get("collapsed"))) for results in done)
    diverged = sum(results.get("status") == "diverged" for results in done)
    parts = [f"{number} {word}" for number, word in ((worse, "with a failed model"), (diverged, "diverged")) if number]
    return f"  ({', '.join(parts)})" if parts else ""


def _time_and_disk(folder: Path, states: Sequence[JobState], planned: Mapping[str, PlannedJob]) -> Iterator[str]:
    spent = sum(float(state.results.get("seconds") or 0.0) for state in states)
    known = Expectation(finished(states, planned, sizes=False))
    left = [planned.get(state.folder.name) for state in states if state.state != DONE]
    if left:
        seconds = [known.seconds(job.settings) if job else None for job in left]
        certain = [value for value in seconds if value is not None]
        workers = max(1, sum(state.state == RUNNING for state in states))
        text = (
            "unknown until comparable runs have finished" if not certain else f"about {duration(sum(certain))} of work"
        )
        if certain and len(certain) < len(seconds):
            text += f" for {len(certain)} of {len(seconds)} jobs"
        text += f", {duration(sum(certain) / workers)} with {workers} workers" if certain and workers > 1 else ""
        yield f"time: {duration(spent)} spent; left: {text}"
    else:
        yield f"time: {duration(spent)}"
    yield f"disk: {readable(bytes_in(folder))}"


def finished(
    states: Iterable[JobState], planned: Mapping[str, PlannedJob], *, sizes: bool = True
) -> list[tuple[dict[str, Any], float, int]]:
    """Returns settings, seconds and bytes of each planned job that is done."""
    return [
        (
            planned[state.folder.name].settings,
            float(state.results.get("seconds") or 0.0),
            bytes_in(state.folder) if sizes else 0,
        )
        for state in states
        if state.state == DONE and state.folder.name in planned
    ]


def plan_lines(folder: Path, jobs: Sequence[PlannedJob]) -> Iterator[str]:
    """Yields the lines of ``sweep plan``: each job, and what all together will take.

    Times come from finished runs of this sweep and of those next to it.
    """
    present = {state.folder.name: state for state in look_at_all(folder, jobs)}
    known = Expectation(_finished_nearby(folder))
    same = set(jobs[0].words).intersection(*(job.words for job in jobs)) if len(jobs) > 1 else set()
    shared = " ".join(word for word in jobs[0].words if word in same)
    yield f"{folder}: {len(jobs)} jobs{f', each with {shared}' if shared else ''}"
    times, sizes = [], []
    for job in jobs:
        state = present[job.name].state
        times.append(known.seconds(job.settings) if state != DONE else 0.0)
        sizes.append(known.size(job.settings) or expected_bytes(job.settings))
        expected = f", about {duration(times[-1])}" if times[-1] else ""
        yield f"  {job.name}: {' '.join(word for word in job.words if word not in same)} ({state}{expected})"
    yield f"time: {_total(times, duration)} on one worker"
    yield f"disk: {_total(sizes, readable)}"


def _total(values: Sequence[float | None], text: Any) -> str:
    certain = [value for value in values if value is not None]
    if not certain:
        return "unknown, as no comparable run has finished"
    rest = f" for {len(certain)} of {len(values)} jobs" if len(certain) < len(values) else ""
    return f"about {text(sum(certain))}{rest}"


def _finished_nearby(folder: Path) -> list[tuple[dict[str, Any], float, int]]:
    """Returns what finished runs of this sweep took, else those of the sweeps next to it."""
    for places in ([folder], sorted(path for path in folder.parent.glob("*") if path != folder and path.is_dir())):
        found = []
        for place in places:
            planned = {job.name: job for job in read_plan(place)}
            found += finished(look_at_all(place, list(planned.values())), planned) if planned else []
        if found:
            return found
    return []
