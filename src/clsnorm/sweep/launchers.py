"""Launchers: what runs the jobs of a sweep. Whoever starts a worker, it takes the next job by its lease."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from clsnorm.command import sweep
from clsnorm.errors import LostLeaseError, require_switch
from clsnorm.launch import interruption
from clsnorm.run_folder.lease import InUseError
from clsnorm.sweep.baseline import Baseline
from clsnorm.sweep.composer import Composer
from clsnorm.sweep.job_state import FAILED, JobState, results_of
from clsnorm.sweep.planned_job import PlannedJob, require_same_sweep, write_plan
from clsnorm.sweep.progress_line import ProgressLine
from clsnorm.sweep.search import TrialSearch
from clsnorm.sweep.shared_work import SharedWork

log = logging.getLogger(__name__)


class LocalWorkers(Launcher):
    """Runs the jobs of a sweep in this process, one after the other, and shares them with other processes.

    Args:
        wait: Whether to wait at the end for jobs that other processes are running.
        quiet: Whether to show one line for the whole sweep, instead of what each job prints.
    """

    def __init__(self, *, wait: bool, quiet: bool) -> None:
        require_switch("hydra.launcher.wait", wait)
        require_switch("hydra.launcher.quiet", quiet)
        self._wait, self._quiet = wait, quiet

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra gives; called once."""
        self._context, self._task, self._config = hydra_context, task_function, config
        self._returns: list[JobReturn] = []
        self._line: ProgressLine | None = None

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs jobs and returns how each ended that this process ran.

        Raises:
            InputError: If a job cannot be composed; then none has started.
        """
        folder, jobs = self._prepare(job_overrides, initial_job_idx)
        with self._quietly(folder):
            wait = self._wait and not sweep.is_worker()  # else whoever started this worker waits
            self._work.run(self._run, wait=wait, idle=self._line.wait if self._line else _log_wait)
        if not sweep.is_worker():
            self._record_others(folder)
        self._say_end(folder, len(jobs))
        return self._returns

    def search(self, search: TrialSearch, composer: Composer) -> Sequence[JobReturn]:
        """Runs the jobs that ``search`` names, until it needs no more, and returns how each ended that ran here."""
        search.begin()
        folder = Path(self._config.hydra.sweep.dir)
        self._composer, self._returns, self._work = composer, [], SharedWork(folder, [])
        tally = self._work.tally
        with self._quietly(folder):
            idle = self._line.wait if self._line else _log_wait
            failed = tally.failed
            self._work.run(
                self._run, wait=self._wait, idle=idle, more=lambda: search.more({job.name for job in failed})
            )
        self._record_others(folder)
        total = sum(map(len, (tally.left, tally.before, tally.here, tally.elsewhere, tally.failed)))
        self._say_end(folder, total)
        return self._returns

    def _prepare(self, job_overrides: Sequence[Sequence[str]], first: int) -> tuple[Path, list[PlannedJob]]:
        """Plans the jobs and returns the sweep's folder, which lists them, and the jobs."""
        setup_globals()
        self._composer, self._returns = Composer(self._context.config_loader, self._config), []
        jobs = self._composer.plan(job_overrides, first)
        folder = Path(self._config.hydra.sweep.dir)
        require_same_sweep(folder, jobs)
        write_plan(folder, jobs)
        baseline = Baseline.read(Path(os.environ[sweep.WORKER]), jobs) if sweep.is_worker() else None
        self._work = SharedWork(folder, jobs, force=self._config.get("force") is True, baseline=baseline)
        ended = {Path(record["results"]).parent.name for record in sweep.records() if record["message"]}
        for job in [job for job in self._work.tally.left if job.name in ended]:  # in another worker of the command
            self._work.give_up(job, JobState(folder / job.name, FAILED))
        return folder, jobs

    @contextlib.contextmanager
    def _quietly(self, folder: Path) -> Iterator[None]:
        """Shows one line for the whole sweep meanwhile, unless jobs shall print."""
        hydra = self._config.hydra
        configure_log(hydra.job_logging, hydra.verbose)
        if self._quiet and hydra.verbose is False:
            logging.getLogger().setLevel(logging.WARNING)
            os.environ[sweep.QUIET] = "1"
        self._line = ProgressLine(self._work.tally, str(folder)) if self._quiet else None
        try:
            yield
        finally:
            if self._line:
                self._line.close()
            os.environ.pop(sweep.QUIET, None)

    def _run(self, job: PlannedJob) -> bool:
        """Runs a job in this process; returns whether it succeeded."""
        if interruption.announced() is not None:
            raise KeyboardInterrupt
        if self._line:
            self._line.start(job)
        else:
            log.info("%s: %s", job.name, " ".join(job.words))
        done = run_job(
            hydra_context=self._context,
            task_function=self._task,
            config=self._composer.compose(job.words, job.number),
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            configure_logging=False,
        )
        if done.status == JobStatus.FAILED and isinstance(done._return_value, InUseError | LostLeaseError):
            raise done._return_value
        self._returns.append(done)
        succeeded = done.status == JobStatus.COMPLETED
        if self._line:
            self._line.end(job, "done" if succeeded else "failed")
        return succeeded

    def _record_others(self, folder: Path) -> None:
        """Counts jobs that ended in other processes for this command's exit status and its table."""
        tally = self._work.tally
        ran_here = {str(Path(done.hydra_cfg.hydra.runtime.output_dir).name) for done in self._returns if done.hydra_cfg}
        others = [job.name for job in (*tally.before, *tally.elsewhere, *tally.failed) if job.name not in ran_here]
        sweep.record_others([results_of(folder.absolute() / name) for name in others])

    def _say_end(self, folder: Path, total: int, *, others: str = "") -> None:
        """Prints what has become of the jobs; ``others`` is who ran those that did not run in this process."""
        tally = self._work.tally
        parts = [] if others else [f"{len(tally.here)} run here"]
        parts += [f"{len(tally.before)} done before"] if tally.before else []
        parts += [f"{len(tally.elsewhere)} {others or 'by other processes'}"] if tally.elsewhere or others else []
        parts += [f"{len(tally.failed)} failed"] if tally.failed else []
        parts += [f"{len(tally.left)} still running in other processes"] if tally.left else []
        print(f"{total} jobs in {folder}: {', '.join(parts)}", flush=True)
        if (words := sync_command(folder)) is not None:
            print(f"W&B's runs are offline; this uploads them: {words}", flush=True)


def _log_wait(jobs: int) -> None:
    log.info("waiting for %d jobs that other processes are running", jobs)


def sync_command(folder: Path) -> str | None:
    """Returns the command that uploads the offline W&B runs of a sweep; None if there is nothing to upload."""
    for run in folder.glob("*/wandb/offline-run-*"):
        if not list(run.glob("*.synced")):
            return f"wandb sync {shlex.quote(str(folder))}/*/wandb/offline-run-*"
    return None
