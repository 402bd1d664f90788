"""Measurements of several programs in turns, each in its own process, so that they share neither memory nor caches.

Only one works at a time. What slows the machine down for longer than a turn affects all of them, and the ratio of two
neighbouring turns is compared, never times of different minutes.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("speed_arms.py")


@dataclass(frozen=True)
class Turn:
    """One measurement.

    Attributes:
        examples: Number of examples that were measured.
        seconds: Wall time.
        cpu_seconds: Time of all cores: it changes less than wall time if the machine is busy.
        peak: Peak memory of the process so far, MiB.
    """

    examples: int
    seconds: float
    cpu_seconds: float
    peak: float

    @property
    def rate(self) -> float:
        """Examples per second."""
        return self.examples / self.seconds


class Arm:
    """A program in a process that waits for its turn.

    Args:
        name: Of a class in `speed_arms`.
        options: Its arguments.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), name, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()  # it is ready

    def turn(self) -> Turn:
        """Works once.

        Raises:
            RuntimeError: If the program ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write("turn\n")
        self._process.stdin.flush()
        return Turn(**self._read())

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self._process.wait()}; its messages are above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def measure(names: Sequence[str], options: Mapping[str, Any], *, turns: int) -> dict[str, list[Turn]]:
    """Returns the measurements of each arm: one turn each that is not counted, then ``turns`` rounds."""
    arms: list[Arm] = []
    try:
        for name in names:
            arms.append(Arm(name, options))
            arms[-1].turn()
        rounds = [[arm.turn() for arm in arms] for _ in range(turns)]
    finally:
        for arm in arms:
            arm.close()
    return {arm.name: [each[number] for each in rounds] for number, arm in enumerate(arms)}


def ratios(ours: Sequence[Turn], peer: Sequence[Turn], *, cpu: bool = False) -> tuple[float, float, float]:
    """Returns median, smallest and largest of ours over the peer's examples per second, by neighbouring turns."""
    if cpu:
        pairs = [(b.cpu_seconds / b.examples) / (a.cpu_seconds / a.examples) for a, b in zip(ours, peer, strict=True)]
    else:
        pairs = [a.rate / b.rate for a, b in zip(ours, peer, strict=True)]
    return statistics.median(pairs), min(pairs), max(pairs)
