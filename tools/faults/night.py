"""SIGKILL at random moments: of a whole command, or of one of its processes; then the same command again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from faults import forks
from faults.trials import Bench, faults_of_report

COMMANDS = {  # by number of processes
    1: ("run", "sweep", "analysis", "force"),
    2: ("ddp", "fsdp", "ddp analysis"),
    4: ("fsdp of four",),
}
AGAIN = 0.4  # probability that the resumed command is killed, too
PATIENCE = 10.0  # seconds that processes may take to end after their parent was killed


@dataclass(frozen=True)
class Killed:
    """One command, killed once or several times and then left to end: when, and the faults after that."""

    command: str
    moments: list[str]
    reasons: list[str] = field(default_factory=list)


def time_command(bench: Bench, *, shell: bool) -> float:
    """Runs the command without fault, learns what it leaves, and returns the seconds that it took."""
    bench.reset()
    started = time.monotonic()
    bench.learn(shell=shell)
    return time.monotonic() - started


def kill_at_random(name: str, bench: Bench, duration: float, draw: random.Random, *, shell: bool) -> Killed:
    """Kills the command at random moments within its duration, lets it end and judges what is left."""
    bench.reset()
    moments: list[str] = []
    reasons: list[str] = []
    while not moments or draw.random() < AGAIN:
        moment, alone = draw.uniform(0, duration), draw.random() < 0.5
        child = forks.start(bench.command.words, folder=bench.work, notes=bench.notes, shell=shell)
        ended = _wait_until(child, time.monotonic() + moment)
        if ended is not None:
            reasons += [] if ended == 0 else [f"ended with status {ended} before it was killed"]
            break
        moments.append(f"{moment:.1f} s{_kill(child, draw, alone=alone)}")
        reasons += _judge_end(child, bench)
        if reasons:
            break
    return Killed(name, moments, reasons or _judge_again(bench, shell=shell))


def _wait_until(child: int, moment: float) -> int | None:
    """Waits until a moment and returns the status of a child that ended before; None if it runs."""
    while time.monotonic() < moment:
        found, code = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(code)
        time.sleep(0.005)
    return None


def _kill(child: int, draw: random.Random, *, alone: bool) -> str:
    """Kills the whole group, or one of the processes below ``child`` if there are any; returns which, as text."""
    below = _descendants(child)
    if alone and below:
        victim = draw.choice(below)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        return f" (1 of {len(below) + 1} processes)"
    os.killpg(child, signal.SIGKILL)
    return ""


def _descendants(parent: int) -> list[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [parent]
    for process in found:  # grows while it is read
        found += [child for child, above in parents.items() if above == process]
    return found[1:]


def _judge_end(child: int, bench: Bench) -> list[str]:
    """Waits for a command of which a process was killed; returns the faults of its end."""
    status = forks.wait(child, forks.LIMIT)
    reasons = []
    if status not in (0, -signal.SIGKILL):
        reasons = faults_of_report(forks.outcome(status, bench.notes))
    ends = time.monotonic() + PATIENCE
    while left := _at_work_in(bench.work):
        if time.monotonic() > ends:
            return [*reasons, f"processes left: {left}"]
        time.sleep(0.05)
    return reasons


def _at_work_in(folder: Path) -> list[int]:
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if link.readlink() == folder:
                found.append(int(link.parent.name))
    return found


def _judge_again(bench: Bench, *, shell: bool) -> list[str]:
    child = forks.start(bench.command.words, folder=bench.work, notes=bench.notes, shell=shell)
    status = forks.wait(child, forks.LIMIT)
    if status != 0:
        said = forks.outcome(status, bench.notes)
        return [f"again: status {status}", *faults_of_report(said), *said.error.splitlines()[-1:]]
    return bench.expected.differences(bench.remains())


def summary(trials: list[Killed]) -> str:
    """Returns counts by command, and below which rate the failures are with 95 % confidence if none was seen."""
    kills, wrong = Counter[str](), Counter[str]()
    for trial in trials:
        kills[trial.command] += len(trial.moments)
        wrong[trial.command] += bool(trial.reasons)
    lines = [f"{name:14} {count:5} kills {wrong[name]:5} WRONG" for name, count in kills.items()]
    total, failed = kills.total(), wrong.total()
    bound = f"; below {100 * 3 / total:.2f} % of kills at 95 % (rule of three)" if total and not failed else ""
    return "\n".join([*lines, f"{total} kills, {failed} WRONG{bound}"])
