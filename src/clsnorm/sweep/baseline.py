"""What was in the folders of a sweep when a command began.

A job that had failed by then is run again, once; with ``force`` also one that was done. The workers of a command take
these from the command, since they begin later: a failure that they find may be their own command's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError, InputError
from clsnorm.files import write_sealed
from clsnorm.seals import read_json
from clsnorm.sweep.job_state import Mark, mark, results_of
from clsnorm.sweep.planned_job import PlannedJob, digest_of


@dataclass(frozen=True)
class Baseline:
    """Marks of the files that were there, by the names of the jobs.

    Attributes:
        plan: Identifies the jobs of the sweep.
        failed: Of ``error.json``.
        done: Of the results, if these do not count.
    """

    plan: str
    failed: Mapping[str, Mark] = field(default_factory=dict)
    done: Mapping[str, Mark] = field(default_factory=dict)

    @classmethod
    def now(cls, folder: Path, jobs: Sequence[PlannedJob], *, force: bool) -> Baseline:
        """Looks at the folders of all jobs."""
        failed = {job.name: mark(folder / job.name / "error.json") for job in jobs}
        done = {job.name: mark(results_of(folder / job.name)) for job in jobs} if force else {}
        return cls(digest_of(jobs), _there(failed), _there(done))

    def write(self, path: Path) -> None:
        """Stores it for workers, atomically."""
        write_sealed(path, asdict(self))

    @classmethod
    def read(cls, path: Path, jobs: Sequence[PlannedJob]) -> Baseline:
        """Returns what `write` has stored for these jobs.

        Raises:
            InputError: If it is missing, or was stored for other jobs.
        """
        try:
            found = read_json(path)
            failed, done = ({name: _mark(value) for name, value in found[key].items()} for key in ("failed", "done"))
            baseline = cls(str(found["plan"]), failed, done)
        except (FileNotFoundError, DamagedFileError, KeyError, TypeError, ValueError, AttributeError):
            raise InputError(
                f"Expected {path}, which the command that started this worker has written. Repeat that command"
            ) from None
        if baseline.plan != digest_of(jobs):
            raise InputError(
                "Expected the same jobs as when this worker was submitted, but files of the configuration have changed "
                "since. Repeat the command, which submits new ones"
            )
        return baseline


def _there(marks: Mapping[str, Mark]) -> dict[str, Mark]:
    return {name: found for name, found in marks.items() if found is not None}


def _mark(value: Any) -> Mark:
    first, second = value
    return int(first), int(second)
