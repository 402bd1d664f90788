"""How long the leases of other machines have been silent, measured by this process's own clock alone.

Clocks of machines may differ by minutes, so no time that another machine wrote is ever compared. A lease's heartbeat is
a counter: while it changes, its holder lives. An observer counts the seconds in which it did not change, and of these
only those in which it looked: an observer that was stopped, or whose disk hung, has seen nothing in that time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class _Sight:
    content: bytes
    looked: float
    silent: float = 0.0


class Watch:
    """What one process has seen of leases of other machines.

    Args:
        clock: Seconds; never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Path, _Sight] = {}
        self._lock = threading.Lock()  # heartbeats look, too, in their own thread

    def silence(self, path: Path, content: bytes, *, longest_gap: float) -> float:
        """Returns for how many seconds a lease has certainly been silent.

        Args:
            path: Its file.
            content: What the file holds now; each heartbeat changes it.
            longest_gap: Of two looks that are further apart, only so many seconds count.
        """
        with self._lock:
            now, sight = self._clock(), self._seen.get(path)
            if sight is None or sight.content != content:
                self._seen[path] = _Sight(content, now)
                return 0.0
            sight.silent += min(now - sight.looked, longest_gap)
            sight.looked = now
            return sight.silent

    def has_beaten(self, path: Path, content: bytes) -> bool:
        """Has the heartbeat changed since the last look?"""
        sight = self._seen.get(path)
        return sight is not None and sight.content != content

    def forget(self, path: Path) -> None:
        """Forgets a lease that is gone."""
        self._seen.pop(path, None)

    def paths(self) -> list[Path]:
        """Returns the leases seen so far, for another look."""
        return list(self._seen)
