"""A job of a sweep before it runs, and the file that lists a sweep's jobs.

The list is a cache: run folders are the only truth about a sweep. Without it, jobs that have not started are not shown.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clsnorm.command.sweep import PLANS, drafting_apart
from clsnorm.errors import DamagedFileError, InputError
from clsnorm.files import write_sealed
from clsnorm.seals import read_json

# Keys by which a sweep may be extended, or that change no result.
EXTENDING = (
    "data",
    "normalizer",
    "seed",
    "hydra",
    "paths",
    "force",
    "logger",
    "callbacks",
    "keep_weights",
    "checkpoint",
)


@dataclass(frozen=True)
class PlannedJob:
    """One configuration of a sweep.

    Attributes:
        name: Of its folder, in the sweep's.
        words: Its overrides.
        settings: What its expected time and size depend on, see `clsnorm.sweep.expectation`.
        number: Its place among the jobs of its command.
    """

    name: str
    words: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict, compare=False)
    number: int = field(default=0, compare=False)


def write_plan(folder: Path, jobs: Sequence[PlannedJob]) -> None:
    """Lists ``jobs`` in the sweep's folder, atomically.

    Each list has a file, since a sweep can be extended. The same list has the same file, whoever writes it.
    """
    jobs = sorted(jobs, key=lambda job: job.name)
    path = folder / PLANS / f"{digest_of(jobs)}.json"
    if not path.exists():
        with drafting_apart():
            write_sealed(path, {"jobs": [asdict(job) for job in jobs]})


def require_same_sweep(folder: Path, jobs: Sequence[PlannedJob]) -> None:
    """Refuses to add jobs to a sweep of which they are not part.

    A sweep can be extended by further values of a key that it varies. Jobs that share none with the sweep and differ in
    a key that each of them has with one value, such as ``trainer.max_epochs``, are another sweep.

    Raises:
        InputError: If they are; the message names the key.
    """
    known = read_plan(folder)
    if not known or not jobs or {job.name for job in known} & {job.name for job in jobs}:
        return
    before, now = _values(known), _values(jobs)
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key, {None}), now.get(key, {None})  # one value each: none of them varies the key
        if len(old) == len(new) == 1 and old != new and not key.startswith(EXTENDING):
            raise InputError(
                f"Expected {folder} to hold one sweep, but its jobs have {_shown(key, old)} and these "
                f"{_shown(key, new)}. Choose another folder, hydra.sweep.dir=FOLDER, or sweep over both values"
            )


def _values(jobs: Sequence[PlannedJob]) -> dict[str, set[Any]]:
    """Returns the values that each key has in some job; None where a job does not set it."""
    by_job = [dict(word.lstrip("+~").partition("=")[::2] for word in job.words) | _own(job.settings) for job in jobs]
    return {key: {found.get(key) for found in by_job} for key in set().union(*by_job)}


def _own(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a file of a sweep may set without a word."""
    return {name: settings[name] for name in ("model", "epochs", "max_steps", "batch") if name in settings}


def _shown(key: str, values: set[Any]) -> str:
    (value,) = values
    return f"no {key}" if value is None else f"{key}={value}"


def digest_of(jobs: Sequence[PlannedJob]) -> str:
    """Returns what identifies a list of jobs, in whatever order."""
    names = "\n".join(sorted(job.name for job in jobs))
    return hashlib.sha256(names.encode()).hexdigest()[:16]


def read_plan(folder: Path) -> list[PlannedJob]:
    """Returns all jobs that were ever listed for a sweep, sorted by name; damaged lists are skipped."""
    found: dict[str, PlannedJob] = {}
    for path in sorted((folder / PLANS).glob("[!.]*.json")):
        with contextlib.suppress(DamagedFileError, OSError, KeyError, TypeError, ValueError):
            found |= {job.name: job for job in _jobs(read_json(path)["jobs"])}
    return [found[name] for name in sorted(found)]


def _jobs(records: Iterable[Any]) -> Iterable[PlannedJob]:
    for record in records:
        name, words = str(record["name"]), tuple(map(str, record["words"]))
        if Path(name).name == name:
            yield PlannedJob(name, words, dict(record["settings"]), int(record["number"]))
