"""A job of a sweep before it runs, and the file that lists a sweep's jobs.

The list is a cache: run folders are the only truth about a sweep. Without it, jobs that have not started are not shown.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clsnorm.command.sweep import PLANS, drafting_apart
from clsnorm.errors import DamagedFileError
from clsnorm.files import write_sealed
from clsnorm.seals import read_json


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
