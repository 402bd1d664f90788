"""Workers side by side on one machine, seen from the command that started them."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from clsnorm.command import sweep
from clsnorm.errors import InputError
from clsnorm.launch.one_machine import WorkerError
from clsnorm.run_folder.error import write_error
from clsnorm.run_folder.lease import PARENT, InUseError, leased
from clsnorm.sweep.job_state import FAILED, RUNNING, JobState, look
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.progress_line import ProgressLine
from clsnorm.sweep.shared_work import SharedWork
from clsnorm.sweep.slots import Slot
from clsnorm.sweep.worker_process import WorkerProcess

PAUSE = 0.25  # seconds between two looks, or ten times what a look takes
PATIENCE = 30.0  # seconds for a worker to end after Ctrl-C
MOST_DEATHS = 2  # of processes that ran a job, until it counts as failed


class Crew:
    """Starts a worker in each slot, and another one in the place of a worker that was killed.

    Which jobs are done or failed is read from their folders, as everywhere. A job whose processes are killed, such as
    for lack of memory, is resumed by another worker once; then it counts as failed.

    Args:
        folder: The sweep's.
        work: Its jobs; the workers run them.
        slots: How many workers, and what each may use.
        logs: Folder for what the workers print; None: they print to this process's streams.
    """

    def __init__(self, folder: Path, work: SharedWork, slots: Sequence[Slot], logs: Path | None) -> None:
        self._folder, self._work, self._slots, self._logs = folder, work, slots, logs
        self._baseline = folder / sweep.WORKERS / f"{platform.node()}-{os.getpid()}.json"
        self._workers: dict[int, WorkerProcess] = {}  # by slot
        self._deaths: Counter[str] = Counter()
        self._idle_ends = 0

    def run(self, line: ProgressLine | None, *, wait: bool) -> None:
        """Runs workers until no job is left that this command can run.

        Args:
            line: Where to show progress.
            wait: Whether to wait at the end for jobs that other commands are running.

        Raises:
            InputError: If a worker refused to start.
            WorkerError: If workers end before they begin a job.
        """
        self._work.baseline.write(self._baseline)
        try:
            while True:
                began = time.monotonic()
                running = self._look(line)
                if not self._workers and (not self._work.tally.left or (running and not wait)):
                    return
                time.sleep(max(PAUSE, 10 * (time.monotonic() - began)))
        finally:
            self._end_all()

    def _look(self, line: ProgressLine | None) -> list[str]:
        """Looks at jobs and workers, starts workers for free jobs, and returns the names of running jobs."""
        ended = self._take_ended()
        states = [*self._work.looks()]
        running = {job.name: state for job, state in states if state.state == RUNNING}
        for worker in ended:
            self._judge(worker)
        if line is not None:
            line.watch([*running])
            for job, state in self._work.ended:
                line.note(job, state)
            if running and not self._workers:
                line.wait(len(running))
        self._work.ended.clear()
        left = [job for job in self._work.tally.left if job.name not in running]
        self._start(len(left), running)
        return [*running]

    def _take_ended(self) -> list[WorkerProcess]:
        ended = {slot: worker for slot, worker in self._workers.items() if worker.status() is not None}
        for slot in ended:
            del self._workers[slot]
        return [*ended.values()]

    def _start(self, free: int, running: dict[str, JobState]) -> None:
        """Starts workers in free slots, as long as there are more free jobs than workers without one."""
        busy = {state.holder.process for state in running.values() if state.holder and state.holder.is_here()}
        idle = sum(worker.number not in busy for worker in self._workers.values())
        empty = [slot for slot in range(len(self._slots)) if slot not in self._workers]
        for slot in empty[: max(0, free - idle)]:
            log = self._logs / f"{slot + 1}.log" if self._logs else None
            self._workers[slot] = WorkerProcess(self._baseline, self._slots[slot].environment(), log)

    def _judge(self, worker: WorkerProcess) -> None:
        """Notes what became of the jobs of a worker that has ended, as far as their folders do not say so."""
        status = worker.status() or 0
        records = [record for record in sweep.records() if record["process"] == worker.number]
        if not records and status != 0:
            self._judge_idle(worker, status)
            return
        if status == 0 and worker.log is not None:
            worker.log.unlink(missing_ok=True)
        left = {job.name: job for job in self._work.tally.left}
        for record in records:
            folder = Path(record["results"]).parent
            if folder.name not in left:
                continue
            job, state = left.pop(folder.name), sweep.REFUSED if record["refused"] else FAILED
            if record["message"] or (status == 0 and look(folder).state != RUNNING):  # by another command
                self._work.give_up(job, JobState(folder, state, record["message"]))
            elif status != 0:
                self._bury(job, status)

    def _judge_idle(self, worker: WorkerProcess, status: int) -> None:
        """Raises an error if workers end before they begin a job: others would do the same."""
        self._idle_ends += 1
        if status == 2:
            raise InputError(worker.last_lines().removeprefix("error: ") or "a worker refused to start")
        if status > 0 or self._idle_ends > 2 * len(self._slots):
            raise WorkerError(f"a worker ended with status {status} before it began a job: {worker.last_lines()}")

    def _bury(self, job: PlannedJob, status: int) -> None:
        """Notes that a process died with a job; if it was not the first one, marks the job as failed."""
        self._deaths[job.name] += 1
        folder = self._folder / job.name
        if self._deaths[job.name] < MOST_DEATHS or look(folder).state == RUNNING:
            return
        how = f"were killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        memory = ", perhaps for lack of memory" if status == -signal.SIGKILL else ""
        with contextlib.suppress(InUseError), leased(folder, PARENT):
            error = WorkerError(f"{MOST_DEATHS} of its processes {how}{memory}")
            write_error(folder / "error.json", error, parent_reports=True)

    def _end_all(self) -> None:
        """Ends workers that are still running, after an error or Ctrl-C."""
        alive = [*self._workers.values()]
        for worker in alive:
            worker.interrupt()
        deadline = time.monotonic() + PATIENCE
        for worker in alive:
            worker.end(max(0.0, deadline - time.monotonic()))
        self._workers.clear()
        with contextlib.suppress(OSError):
            self._baseline.unlink()
            self._baseline.parent.rmdir()
