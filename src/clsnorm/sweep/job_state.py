"""What a job's folder says: done, running, interrupted, failed, not started, or something else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clsnorm.errors import DiskError, InputError
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.folder import CONFIG
from clsnorm.run_folder.holder import Holder
from clsnorm.run_folder.lease import PARENT, read_holder
from clsnorm.seals import read_json
from clsnorm.sweep.planned_job import PlannedJob

DONE, RUNNING, INTERRUPTED, FAILED, NOT_STARTED, UNKNOWN = (
    "done", "running", "interrupted", "failed", "not started", "unknown",
)  # fmt: skip
STATES = (DONE, RUNNING, INTERRUPTED, FAILED, NOT_STARTED, UNKNOWN)
Mark = tuple[int, int] | None  # identifies one version of a file; None if there is no file
RESULTS = ("results.json", "analysis.json", "probes.json")  # written last, by runs, analyses and probes


@dataclass(frozen=True)
class JobState:
    """A job as its folder shows it.

    Attributes:
        folder: The job's; it need not exist.
        state: One of `STATES`.
        note: Where it is running and since when, why it failed, or what is wrong with its files.
        results: Of a job that is done.
        holder: Of a job that is running.
    """

    folder: Path
    state: str
    note: str = ""
    results: dict[str, Any] = field(default_factory=dict, compare=False)
    holder: Holder | None = None


def results_of(folder: Path) -> Path:
    """Returns the file that marks a job as done: a run's, an analysis' or a probe's, whichever is there."""
    return next((path for name in RESULTS if (path := folder / name).exists()), folder / RESULTS[0])


def mark(path: Path) -> Mark:
    """Returns what tells this version of a file from earlier and later ones."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def look(folder: Path) -> JobState:
    """Returns the state of a job; reads few files, and none that may be large."""
    try:
        names = {entry.name for entry in os.scandir(folder)}
    except (FileNotFoundError, NotADirectoryError):
        return JobState(folder, NOT_STARTED)
    except OSError as error:
        return JobState(folder, UNKNOWN, error.strerror or str(error))
    try:
        return _judge(folder, names)
    except (InputError, DiskError) as error:
        return JobState(folder, UNKNOWN, str(error))


def _judge(folder: Path, names: set[str]) -> JobState:
    holder = read_holder(folder) if PARENT in names else None
    if holder is not None:
        since = f" since {holder.since.replace('T', ' ')[:16]} UTC" if holder.since else ""
        return JobState(folder, RUNNING, f"process {holder.process} of {holder.host}{since}", holder=holder)
    if done := next((name for name in RESULTS if name in names), None):
        return JobState(folder, DONE, results=read_json(folder / done))
    if error := RunFolder(folder).read_error():
        return JobState(folder, FAILED, f"{error['kind']}: {' '.join(error['message'].split())[:200]}")
    if CONFIG in names:
        return JobState(folder, INTERRUPTED)
    visible = [name for name in names if not name.startswith(".")]
    return JobState(folder, UNKNOWN, "no run's files") if visible else JobState(folder, NOT_STARTED)


def look_at_all(folder: Path, planned: Sequence[PlannedJob]) -> list[JobState]:
    """Returns the state of each planned job of a sweep, and of each other folder in it, sorted by name."""
    try:
        present = [
            entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith((".", "index"))
        ]
    except FileNotFoundError:
        present = []
    listed: Iterable[str] = sorted({*present, *(job.name for job in planned)})
    return [look(folder / name) for name in listed]
