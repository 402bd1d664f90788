"""Who holds a lease: a process, on a machine, since a time; and whether that process can still be there."""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clsnorm.files import is_alive

PROC = Path("/proc")
ENDED = ("Z", "X", "x")  # states of a process that is only an entry in the table: it writes nothing more


@dataclass(frozen=True)
class Holder:
    """The process that took a lease.

    Attributes:
        host: Name of its machine, for people; two machines may share one.
        machine: Identifies the running system and its table of processes: another one after a reboot, and in another
            container.
        process: Its number.
        start: When that process started, by its system: a later process of the same number has another.
        token: Random; of this lease alone.
        since: When the lease was taken, by the holder's clock, for people. It is never compared with another clock.
        silence: Seconds without a heartbeat after which other machines may take the lease.
    """

    host: str
    machine: str
    process: int
    start: str
    token: str
    since: str
    silence: float

    @classmethod
    def here(cls, *, silence: float) -> Holder:
        """Returns this process with a new token."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        process = os.getpid()
        return cls(platform.node(), machine(), process, started(process), uuid.uuid4().hex, now, silence)

    @classmethod
    def read(cls, text: str) -> Holder | None:
        """Returns the holder that `line` wrote; None for anything else, such as a file edited by hand."""
        try:
            values: Any = json.loads(text)
            found = cls(**values)
        except (ValueError, TypeError, RecursionError):
            return None
        right = all(isinstance(getattr(found, name), kind) for name, kind in _TYPES.items())
        return found if right and not isinstance(found.silence, bool) else None

    def line(self) -> str:
        """Returns one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    def is_here(self) -> bool:
        """Is it a process of this machine, whose table of processes says whether it lives?"""
        return self.machine == machine()

    def is_gone(self) -> bool:
        """Is it a process of this machine that has ended? Never true for one of another machine."""
        return self.is_here() and not (is_alive(self.process) and started(self.process) == self.start)

    def __str__(self) -> str:
        return f"process {self.process}" if self.is_here() else f"process {self.process} of {self.host}"


_TYPES: dict[str, Any] = {
    **dict.fromkeys(("host", "machine", "start", "token", "since"), str),
    "process": int,
    "silence": (int, float),
}


@functools.cache
def machine() -> str:
    """Returns what identifies this running system and table of processes; a host's name alone may not be unique."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return f"{platform.node()} {uuid.getnode():x}"


def started(process: int) -> str:
    """Returns when a process of this machine started, in the system's own units; empty if it has ended."""
    if sys.platform != "linux":
        words = ["ps", "-o", "lstart=", "-p", str(process)]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    try:
        fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ENDED else fields[19]
