"""Ending a run early because its machine will be taken away: after one more resume point, from which it resumes.

A cluster announces by a signal that a time limit is near, or that a job of higher priority needs the machine. The
signal reaches one process; those that train may be others. So the announcement is a file on this machine, whose path
they inherit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import uuid
from pathlib import Path
from types import FrameType

FILE = "CLSNORM_INTERRUPTION_FILE"  # environment variable: exists once an interruption is announced
SIGNALS = (signal.SIGUSR1, signal.SIGTERM)  # before a time limit, and of a preemption
_numbers: list[int] = []  # of this process


def expect() -> None:
    """Takes `SIGNALS`, from now on, as announcements to this process and to those it will start.

    In a process started by one that expects them, the announcement is the same for both.
    """
    _numbers[:] = SIGNALS
    if FILE not in os.environ:
        os.environ[FILE] = str(Path(tempfile.gettempdir()) / f"clsnorm-interruption-{uuid.uuid4().hex}")
    take_signals_back()


def take_signals_back() -> None:
    """Handles the signals of `expect` again, after Lightning's trainer has put handlers of its own in their place."""
    if threading.current_thread() is threading.main_thread():
        for number in _numbers:
            signal.signal(number, _announce)


def is_expected() -> bool:
    """Can an interruption be announced to this process?"""
    return FILE in os.environ


def announced() -> int | None:
    """Returns the number of the signal that announced an interruption; None if none has come yet."""
    try:
        return int(Path(os.environ[FILE]).read_text() or 0)
    except (KeyError, OSError):
        return None


def forget() -> None:
    """Removes the announcement; further signals announce nothing."""
    for number in _numbers:
        signal.signal(number, signal.SIG_IGN)
    _numbers.clear()
    if (path := os.environ.pop(FILE, None)) is not None:
        with contextlib.suppress(OSError):
            Path(path).unlink()


def _announce(number: int, frame: FrameType | None) -> None:
    path = Path(os.environ[FILE])
    with contextlib.suppress(OSError):
        path.write_text(str(number))
