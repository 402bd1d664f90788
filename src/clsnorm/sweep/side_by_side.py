"""The launcher that runs several jobs at once on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clsnorm.command import sweep
from clsnorm.errors import require_switch
from clsnorm.sweep.crew import Crew
from clsnorm.sweep.fleet import Fleet
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.slots import slots


class SideBySide(Fleet):
    """Runs jobs of a sweep side by side on this machine, each in a worker with its share of cores and GPUs.

    joblib would run them in a pool, which ends with all its jobs when one of its processes is killed, and cannot give
    each process another GPU.

    Args:
        n_jobs: How many at once; -1: as many as this machine has GPUs, or cores, for.
        oversubscribe: Whether jobs may share a GPU or a core.
        wait: Whether to wait at the end for jobs that other commands are running.
        quiet: Whether to show one line for the whole sweep, instead of what each job prints.
    """

    def __init__(self, *, n_jobs: int, oversubscribe: bool, wait: bool, quiet: bool) -> None:
        super().__init__(wait=wait, quiet=quiet)
        require_switch("hydra.launcher.oversubscribe", oversubscribe)
        self._n_jobs, self._oversubscribe = n_jobs, oversubscribe

    def _start_workers(self, folder: Path, jobs: Sequence[PlannedJob]) -> None:
        """Runs all jobs.

        Raises:
            InputError: If there is no room for so many at once.
            WorkerError: If workers end before they begin a job.
        """
        places = slots(jobs, self._n_jobs, oversubscribe=self._oversubscribe)
        with self._quietly(folder):
            logs = folder.absolute() / sweep.WORKERS if self._quiet else None
            Crew(folder.absolute(), self._work, places, logs).run(self._line, wait=self._wait)
        self._record_others(folder)
        self._say_end(folder, len(jobs), others=f"run by {len(places)} workers side by side")
