"""Workers: processes that run the sweep's own command once more, and share its jobs by their leases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from clsnorm.command.sweep import LAUNCHER, WORKER

LINES = 3  # of a worker's log that are shown if it fails


def own_command() -> list[str]:
    """Returns the words that start this command again, in the same interpreter."""
    return [sys.executable, *sys.orig_argv[1:]]


class WorkerProcess:
    """A running worker. It is killed with the process that started it.

    Args:
        baseline: The file with what was there when the command began.
        environment: Variables to add to this process's.
        log: Where to write what it prints; None: to this process's own streams.
    """

    def __init__(self, baseline: Path, environment: Mapping[str, str], log: Path | None) -> None:
        self.log = log
        stream: IO[bytes] | None = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            stream = log.open("ab")
        try:
            self._process = subprocess.Popen(
                own_command(),
                env={**os.environ, **environment, WORKER: str(baseline), LAUNCHER: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,  # Ctrl-C reaches it once, from this process
            )
        finally:
            if stream is not None:
                stream.close()
        self.started = time.monotonic()

    @property
    def number(self) -> int:
        return self._process.pid

    def status(self) -> int | None:
        """Returns its exit status, minus the signal that killed it; None while it is running."""
        return self._process.poll()

    def interrupt(self) -> None:
        """Sends it Ctrl-C: it leaves its job to be resumed."""
        if self.status() is None:
            self._process.send_signal(signal.SIGINT)

    def end(self, patience: float) -> None:
        """Waits until it has ended, and kills it after ``patience`` seconds."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_lines(self) -> str:
        """Returns what it printed last, in one line; empty if it printed to this process's own streams."""
        if self.log is None:
            return ""
        try:
            lines = self.log.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return " ".join(line.strip() for line in lines[-LINES:])[-400:]
