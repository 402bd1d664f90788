"""Launchers that start workers: processes that run the sweep's own command once more and share its jobs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn

from clsnorm.command import sweep
from clsnorm.sweep.launchers import LocalWorkers
from clsnorm.sweep.planned_job import PlannedJob


class Fleet(LocalWorkers):
    """Starts workers, and in a worker runs jobs one after the other, as `LocalWorkers`.

    The workers take jobs by their leases, as processes in other terminals and on other machines do. So there is no
    queue that could lose a job, or run it twice.
    """

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Plans the jobs and starts workers for them; in a worker, runs them.

        Raises:
            InputError: If a job cannot be composed, or the workers cannot be started; then none has started.
        """
        if sweep.is_worker():
            return super().launch(job_overrides, initial_job_idx)
        folder, jobs = self._prepare(job_overrides, initial_job_idx)
        self._start_workers(folder, jobs)
        return []

    @abstractmethod
    def _start_workers(self, folder: Path, jobs: Sequence[PlannedJob]) -> None:
        """Starts workers for the jobs of the sweep in ``folder``."""
