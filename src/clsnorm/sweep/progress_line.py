"""One line for a whole sweep while it runs."""

from __future__ import annotations

import sys
import threading
import time
from typing import IO

from clsnorm.progress import duration
from clsnorm.sweep.expectation import Expectation
from clsnorm.sweep.job_state import DONE, JobState
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.shared_work import Tally

REFRESH = 1.0  # seconds, on a terminal
CLEAR = "\r\033[K"  # what is on a terminal's line


class ProgressLine:
    """Shows how many jobs are done, which ones are running, and how long the rest will take.

    On a terminal the line is renewed in place; elsewhere there is one line for each job that ends. The name of the
    sweep comes once, first.

    Args:
        tally: Of this command's jobs.
        name: Of the sweep.
        stream: Where to write.
    """

    def __init__(self, tally: Tally, name: str, stream: IO[str] | None = None) -> None:
        self._tally, self._stream = tally, stream or sys.stderr
        self._live = self._stream.isatty()
        self._job: PlannedJob | None = None
        self._began, self._waiting = time.monotonic(), 0
        self._spent: list[tuple[PlannedJob, float]] = []
        self._ended = threading.Event()
        self._running: list[str] | None = None  # in other processes; None: the jobs run here, one after the other
        known = f"{len(tally.left) + len(tally.before)} jobs" if tally.left or tally.before else "searching"
        self._write(f"{name}: {known}{f', {len(tally.before)} done before' if tally.before else ''}\n")
        if self._live:
            threading.Thread(target=self._renew, name="progress", daemon=True).start()

    def start(self, job: PlannedJob) -> None:
        """Notes that a job begins here."""
        self._job, self._began, self._waiting = job, time.monotonic(), 0

    def end(self, job: PlannedJob, outcome: str) -> None:
        """Notes how a job ended here: ``done`` or ``failed``."""
        seconds = time.monotonic() - self._began
        if outcome == "done":
            self._spent.append((job, seconds))
        if not self._live:
            self._write(f"{job.name}: {outcome} in {duration(seconds)}. {self.text(ended=outcome)}\n")
        self._job = None

    def watch(self, running: list[str]) -> None:
        """Notes which jobs are running in other processes."""
        self._running = running

    def note(self, job: PlannedJob, state: JobState) -> None:
        """Notes how a job ended in another process, which the tally counts already."""
        if state.state == DONE:
            seconds = float(state.results.get("seconds") or 0.0)
            self._spent.append((job, seconds))
            if not self._live:
                self._write(f"{job.name}: done in {duration(seconds)}. {self.text()}\n")
        else:  # printed on a terminal, too
            self._write(f"{CLEAR if self._live else ''}{job.name}: {state.state}: {state.note}. {self.text()}\n")

    def wait(self, jobs: int) -> None:
        """Notes that only jobs are left that other processes are running."""
        if not self._live and jobs != self._waiting:
            self._write(f"{self.text()}\n")
        self._waiting = jobs

    def close(self) -> None:
        """Ends the line."""
        self._ended.set()
        if self._live:
            self._write(CLEAR)

    def text(self, *, ended: str = "") -> str:
        """Returns the line; ``ended`` is how the current job has ended, which is not counted yet."""
        tally = self._tally
        done = len(tally.before) + len(tally.here) + len(tally.elsewhere) + (ended == "done")
        total = sum(map(len, (tally.left, tally.before, tally.here, tally.elsewhere, tally.failed)))
        parts = [f"{done} of {total} done"]
        if failed := len(tally.failed) + (ended == "failed"):
            parts.append(f"{failed} failed")
        if self._waiting:
            parts.append(f"waiting for {self._waiting} that other processes are running")
        if self._job is not None and not ended:
            parts.append(f"{self._job.name} for {duration(time.monotonic() - self._began)}")
        if self._running:
            parts.append(f"{len(self._running)} running: {' '.join(self._running)}")
        if left := self._left():
            alone = " if nobody helps" if self._running is None else ""
            parts.append(f"about {duration(left / max(1, len(self._running or ())))} left{alone}")
        return ", ".join(parts)

    def _left(self) -> float:
        """Returns the expected seconds of what is left; 0 if nothing is known yet."""
        known = Expectation((job.settings, seconds, 0) for job, seconds in self._spent)
        begun = {*(self._running or ()), *([self._job.name] if self._job else ())}
        expected = [known.seconds(job.settings) for job in self._tally.left if job.name not in begun]
        return sum(seconds or 0.0 for seconds in expected) if expected and all(expected) else 0.0

    def _renew(self) -> None:
        while not self._ended.wait(REFRESH):
            self._write(f"{CLEAR}{self.text()[:118]}")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # a closed terminal is no reason to end a sweep
            self._live = False
