"""The launcher that submits workers to a SLURM cluster."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from clsnorm.command import sweep
from clsnorm.errors import InputError, require_whole
from clsnorm.launch import interruption
from clsnorm.sweep import slurm_commands
from clsnorm.sweep.fleet import Fleet
from clsnorm.sweep.job_state import RUNNING
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.slots import may_use_gpus, processes_of
from clsnorm.sweep.slurm_commands import NoAnswerError, Queued, counted
from clsnorm.sweep.submission import Submission, submissions
from clsnorm.sweep.worker_process import own_command

log = logging.getLogger(__name__)
PAUSE, ASK = 2.0, 20.0  # seconds between two looks at the folders, and two questions to the cluster
# Variables of a worker. SLURM_JOB_ID is no name of one: that of the last worker means all of them.
ARRAY, TASK = "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"
PLACES = ("partition", "account", "qos", "constraint", "exclude", "gres")  # options of sbatch, as they are


class SlurmArray(Fleet):
    """Submits workers to SLURM as an array of jobs; each runs jobs of the sweep until none is left.

    The command returns once they are submitted. Typed again, it submits only as many workers as are missing. A worker
    whose time limit is near, or that is preempted, stores a resume point and goes back into the queue; one in which a
    job of the sweep failed has failed for SLURM, too.

    Args:
        workers: How many.
        timeout_min: Time limit of each, in minutes.
        signal_delay_s: How long before the time limit it ends its training, in seconds.
        cpus_per_task: Cores of each worker.
        gpus_per_node: GPUs of each worker; null: none.
        mem_gb: Memory of each worker; null: the cluster's default.
        wait: Whether to show progress until all workers have ended; Ctrl-C leaves them running.
        quiet: Whether a worker logs one line for each job, instead of what the job prints.
        **places: ``partition``, ``account``, ``qos``, ``constraint``, ``exclude`` and ``gres`` of sbatch.
    """

    def __init__(
        self,
        *,
        workers: int,
        timeout_min: int,
        signal_delay_s: int,
        cpus_per_task: int,
        gpus_per_node: int | None,
        mem_gb: int | None,
        wait: bool,
        quiet: bool,
        **places: Any,
    ) -> None:
        super().__init__(wait=wait, quiet=quiet)
        for name, value in {"workers": workers, "timeout_min": timeout_min, "cpus_per_task": cpus_per_task}.items():
            require_whole(f"hydra.launcher.{name}", value, least=1)
        require_whole("hydra.launcher.signal_delay_s", signal_delay_s, least=1, most=60 * timeout_min - 1)
        require_whole("hydra.launcher.gpus_per_node", gpus_per_node, least=1, or_null=True)
        require_whole("hydra.launcher.mem_gb", mem_gb, least=1, or_null=True)
        self._workers, self._cpus, self._gpus = workers, cpus_per_task, gpus_per_node
        self._options = [
            f"--time={timeout_min}",
            f"--signal=B:USR1@{signal_delay_s}",
            f"--cpus-per-task={cpus_per_task}",
            *([f"--gpus-per-node={gpus_per_node}"] if gpus_per_node else []),
            *([f"--mem={mem_gb}G"] if mem_gb else []),
            *(f"--{name}={places[name]}" for name in PLACES if places.get(name) is not None),
        ]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submits workers; in a worker, runs jobs until none is left, or the cluster takes the machine away."""
        if not sweep.is_worker():
            return super().launch(job_overrides, initial_job_idx)
        with requeueing():
            return super().launch(job_overrides, initial_job_idx)

    def _start_workers(self, folder: Path, jobs: Sequence[PlannedJob]) -> None:
        """Submits as many workers as are missing.

        Raises:
            InputError: If they are too small for a job, or SLURM refuses them or does not answer.
        """
        self._require_room(jobs)
        folder, left = folder.absolute(), len(self._work.tally.left)
        present = [*submissions(folder)]
        alive = slurm_commands.queued([known.name for known in present]) if left or present else []
        for known in present:
            if known.job() is not None and known.name not in {job.name for job in alive}:
                known.remove()  # its workers have ended
        missing = min(self._workers, left) - len(alive)
        if missing > 0:
            self._submit(folder, missing)
        elif left:
            print(f"{counted(alive)} workers of SLURM share this sweep already", flush=True)
        if left and self._wait:
            with self._quietly(folder):
                self._watch(folder)
        if left and not self._wait:
            print(f"{left} of {len(jobs)} jobs are left: python -m clsnorm.sweep status {folder}", flush=True)
            return
        self._record_others(folder)
        self._say_end(folder, len(jobs), others="run by workers of SLURM")

    def _require_room(self, jobs: Sequence[PlannedJob]) -> None:
        processes = max(map(processes_of, jobs), default=1)
        wanted = "gpus_per_node" if self._gpus and any(map(may_use_gpus, jobs)) else "cpus_per_task"
        there = self._gpus if wanted == "gpus_per_node" else self._cpus
        if processes < math.inf and processes > (there or 1):
            raise InputError(
                f"Expected hydra.launcher.{wanted} to be at least trainer.devices, but got {there} for {processes} "
                f"processes. Set hydra.launcher.{wanted}={processes}"
            )

    def _submit(self, folder: Path, workers: int) -> None:
        submission = Submission.prepare(folder, self._work.baseline, own_command(), self._cpus, workers)
        options = [
            *self._options,
            f"--job-name={submission.name}",
            f"--array=0-{workers - 1}",
            f"--output={submission.log}",
            f"--chdir={Path.cwd()}",
            "--requeue",
            "--open-mode=append",
        ]
        try:
            job = slurm_commands.submit(submission.script, options)
        except NoAnswerError:
            raise  # it may have been submitted: the next command asks
        except InputError:
            submission.remove()
            raise
        submission.complete(job)
        print(f"submitted {workers} workers as job {job} of SLURM; they print into {submission.folder}", flush=True)

    def _watch(self, folder: Path) -> None:
        """Shows progress until no job is left, or no worker."""
        names, asked = [known.name for known in submissions(folder)], -math.inf
        alive: list[Queued] | None = None
        try:
            while self._work.tally.left:
                if time.monotonic() - asked > ASK:
                    with contextlib.suppress(NoAnswerError):
                        alive = slurm_commands.queued(names)
                    asked = time.monotonic()
                states = [*self._work.looks()]
                running = [job.name for job, state in states if state.state == RUNNING]
                if alive == [] and not running:
                    for job, state in states:
                        reason = f"no worker is left; see {folder / sweep.WORKERS}"
                        self._work.give_up(job, replace(state, note=reason))
                self._show(running)
                time.sleep(PAUSE)
        except KeyboardInterrupt:
            log.warning("the workers go on: `scancel --name=%s` ends them", ",".join(names))
            raise

    def _show(self, running: list[str]) -> None:
        if self._line:
            self._line.watch(running)
            for job, state in self._work.ended:
                self._line.note(job, state)
        self._work.ended.clear()


@contextlib.contextmanager
def requeueing() -> Iterator[None]:
    """Puts this worker back into SLURM's queue if the block ends since an interruption was announced.

    SLURM does so itself for a job that it preempts, or whose machine fails. Before a time limit it only warns.
    """
    interruption.expect()
    try:
        yield
    except KeyboardInterrupt:
        number = interruption.announced()
        interruption.forget()
        if number == signal.SIGUSR1 and ARRAY in os.environ:
            log.warning("interrupted by SLURM: back into the queue")
            slurm_commands.requeue(f"{os.environ[ARRAY]}_{os.environ[TASK]}")
        raise
    finally:
        interruption.forget()
