"""How one of any number of workers takes the jobs of a sweep: no controller, only the leases of the run folders."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from clsnorm.errors import DiskError, LostLeaseError
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.lease import PARENT, InUseError, require_free
from clsnorm.sweep.baseline import Baseline
from clsnorm.sweep.expectation import Expectation
from clsnorm.sweep.job_state import DONE, FAILED, RUNNING, JobState, Mark, look, mark, results_of
from clsnorm.sweep.planned_job import PlannedJob

POLL = 2.0  # seconds between two looks at jobs that others are running


@dataclass
class Tally:
    """Which jobs are where, as one worker sees it.

    Attributes:
        left: Not yet done, in the order in which to take them.
        before: Were done when the worker began.
        here: This worker has run them to an end.
        elsewhere: Other workers have.
        failed: Failed here or elsewhere, since the worker began.
    """

    left: list[PlannedJob] = field(default_factory=list)
    before: list[PlannedJob] = field(default_factory=list)
    here: list[PlannedJob] = field(default_factory=list)
    elsewhere: list[PlannedJob] = field(default_factory=list)
    failed: list[PlannedJob] = field(default_factory=list)


class SharedWork:
    """The jobs of a sweep, of which this worker runs those that nobody else does.

    A job that is done is not run again, nor one that failed since the command began; one that failed earlier is. An
    interrupted one is resumed as soon as its lease is lost.

    Args:
        folder: The sweep's.
        jobs: In any order; the longest expected one is taken first.
        force: Whether to run jobs again that were done before the command began.
        baseline: Of the command that this worker belongs to; None: the folders as they are now.

    Attributes:
        baseline: What does not count as done or failed.
        tally: Which jobs are where.
        ended: Jobs that others have ended, with how, until somebody takes them from here.
    """

    def __init__(
        self, folder: Path, jobs: Sequence[PlannedJob], *, force: bool = False, baseline: Baseline | None = None
    ) -> None:
        self._folder, self._force = folder, force
        states = {job: look(folder / job.name) for job in jobs}
        known = Expectation(
            (job.settings, float(state.results.get("seconds") or 0.0), 0) for job, state in states.items()
        )
        self.baseline = baseline or Baseline.now(folder, jobs, force=force)
        self.tally = Tally(left=sorted(jobs, key=lambda job: -known.order(job.settings)))
        self.ended: list[tuple[PlannedJob, JobState]] = []
        for job in list(self.tally.left):
            if states[job].state == DONE and self._is_done(job, states[job]):
                self._count_done(job, self.tally.before)

    def add(self, jobs: Mapping[PlannedJob, Mark]) -> None:
        """Adds jobs, each with the mark of its earlier failure, after which it is to be run again."""
        failed = {job.name: failure for job, failure in jobs.items()}
        self.baseline = replace(self.baseline, failed={**self.baseline.failed, **failed})
        for job in jobs:
            self.tally.left.append(job)
            if look(self._folder / job.name).state == DONE:
                self._count_done(job, self.tally.before)

    def run(
        self,
        run: Callable[[PlannedJob], bool],
        *,
        wait: bool,
        idle: Callable[[int], None],
        more: Callable[[], Mapping[PlannedJob, Mark]] = dict,
    ) -> None:
        """Runs jobs until none is left.

        Args:
            run: Runs a job and returns whether it succeeded; raises `InUseError` or `LostLeaseError` if another worker
                runs it.
            wait: Whether to wait, when only jobs are left that others are running, until they end; whoever is left
                resumes those of a worker that dies. If not, returns.
            idle: Called before each wait with the number of such jobs.
            more: Returns further jobs, as `add` takes them; called when there is none that this worker could run.
        """
        while True:
            job = self._next()
            if job is not None:
                self._run_one(job, run)
            elif further := more():
                self.add(further)
            elif not (self.tally.left and wait):
                return
            else:
                idle(len(self.tally.left))
                time.sleep(POLL)

    def looks(self) -> Iterator[tuple[PlannedJob, JobState]]:
        """Yields each job that is left, with its state now; counts those that others have ended instead."""
        for job in list(self.tally.left):
            state = look(self._folder / job.name)
            if state.state == RUNNING:
                yield job, state
            elif self._is_done(job, state):
                self._count_done(job, self.tally.elsewhere)
                self.ended.append((job, state))
            elif state.state == FAILED and self._failed_since(job, state):
                self.give_up(job, state)
            else:
                yield job, state

    def give_up(self, job: PlannedJob, state: JobState) -> None:
        """Counts a job as failed in another process."""
        self._move(job, self.tally.failed)
        self.ended.append((job, state))

    def _next(self) -> PlannedJob | None:
        """Returns the first job that nobody runs."""
        return next((job for job, state in self.looks() if state.state != RUNNING), None)

    def _run_one(self, job: PlannedJob, run: Callable[[PlannedJob], bool]) -> None:
        try:
            succeeded = run(job)
        except (InUseError, LostLeaseError):
            time.sleep(POLL / 10)  # another worker was faster; a later look tells how it ended there
            return
        self._move(job, self.tally.here if succeeded else self.tally.failed)

    def _is_done(self, job: PlannedJob, state: JobState) -> bool:
        if state.state != DONE:
            return False
        return not self._force or mark(results_of(state.folder)) != self.baseline.done.get(job.name)

    def _failed_since(self, job: PlannedJob, state: JobState) -> bool:
        return mark(state.folder / "error.json") != self.baseline.failed.get(job.name)

    def _count_done(self, job: PlannedJob, to: list[PlannedJob]) -> None:
        """Counts a job that ended in another process, which may have been killed between its results and its end."""
        folder = RunFolder(self._folder / job.name)
        with contextlib.suppress(InUseError, DiskError):
            require_free(folder.path, PARENT)  # removes the lease of a dead process
            folder.remove_leftovers()
        self._move(job, to)

    def _move(self, job: PlannedJob, to: list[PlannedJob]) -> None:
        self.tally.left.remove(job)
        to.append(job)
