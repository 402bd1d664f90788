"""One trial: a command with a fault, the same command again, and the differences from a command without fault."""

from __future__ import annotations

import re
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

from faults import forks
from faults.commands import Command
from faults.comparison import Remains, read_remains
from faults.interposer import Control
from faults.points import RANDOM, Point, read_points

WORK = "work"  # folder of the trial, below that of all trials
KILLS = ("kill", "truncate")
EQUAL, ONE_LINE, WRONG = "equal", "one line", "WRONG"


@dataclass(frozen=True)
class Trial:
    """The result of one fault.

    Attributes:
        verdict: `EQUAL`: the second command ends as if nothing had happened; `ONE_LINE`: so it does, and the first one
            reported the fault in one line; `WRONG`: anything else.
        reasons: Of a wrong verdict, one line each.
        said: The line that reported the fault.
    """

    number: int
    name: str
    kind: str
    file: str
    mode: str
    verdict: str
    reasons: list[str] = field(default_factory=list)
    said: str = ""


class Bench:
    """Runs one command again and again, each time in a new working directory of the same path.

    Args:
        command: The command.
        folder: Where to work; each process needs its own.
        inputs: Folder of the command's inputs.

    Attributes:
        expected: What the command leaves without a fault; `learn` sets it. Names of cache entries depend on the folder.
    """

    def __init__(self, command: Command, folder: Path, inputs: Path) -> None:
        self.command, self.work, self.notes = command, folder / WORK, folder / "notes"
        self._inputs, self._before = inputs, folder / "before"
        self.expected = Remains({}, frozenset())
        self.notes.mkdir(parents=True, exist_ok=True)
        if command.before:
            self._lay_out()
            outcome = forks.run(command.before, folder=self.work, notes=self.notes)
            if outcome.status != 0:
                raise RuntimeError(f"the command before ended with status {outcome.status}:\n{outcome.error}")
            shutil.copytree(self.work, self._before, symlinks=True)

    def reset(self) -> None:
        """Empties the working directory, or sets it back to what the command before left."""
        if self._before.exists():
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.copytree(self._before, self.work, symlinks=True)
        else:
            self._lay_out()

    def run(self, mode: str | None = None, number: int = 0) -> tuple[forks.Outcome, Control]:
        """Runs the command once, with a fault or only counting."""
        control = Control(self.notes, self.work, mode, number)
        return forks.run(self.command.words, folder=self.work, notes=self.notes, control=control), control

    def remains(self) -> Remains:
        """Reads the content of the working directory."""
        return read_remains(self.work, self.command.outputs)

    def learn(self, *, shell: bool = False) -> list[Point]:
        """Runs the command without fault, sets ``expected`` and returns all its operations.

        Args:
            shell: Start a new Python, whose operations are not counted.

        Raises:
            RuntimeError: If it fails, if bytes reached a file that no operation accounts for, or if an earlier run
                left something else.
        """
        self.reset()
        control = Control(self.notes, self.work)
        started = control.path.stat().st_mtime
        child = forks.start(self.command.words, folder=self.work, notes=self.notes, control=control, shell=shell)
        outcome = forks.outcome(forks.wait(child, forks.LIMIT), self.notes)
        if outcome.status != 0:
            raise RuntimeError(f"the command ends with status {outcome.status} without any fault:\n{outcome.error}")
        points, found = read_points(control.operations()), self.remains()
        if not shell:
            _require_all_seen(self.work, points, since=started)
        if self.expected.values and (differences := self.expected.differences(found)):
            raise RuntimeError("two runs without fault differ:\n" + "\n".join(differences))
        self.expected = found
        return points

    def _lay_out(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        (self.work / "inputs").symlink_to(self._inputs)


def _require_all_seen(work: Path, points: list[Point], *, since: float) -> None:
    """Every byte of every new file must have been written by an operation that was counted."""
    seen: dict[str, int] = {}
    for point in points:
        seen[point.file] = seen.get(point.file, 0) + point.operation.size
    for path in work.rglob("*"):
        name = str(path.relative_to(work))
        if path.is_file() and not name.startswith("inputs") and path.stat().st_mtime >= since:
            size = path.stat().st_size
            if seen.get(name, 0) < size:
                raise RuntimeError(f"{name} has {size} bytes, but only {seen.get(name, 0)} were seen to be written")


def conduct(bench: Bench, point: Point, mode: str) -> Trial:
    """Injects one fault, runs the same command again and judges what is left."""
    bench.reset()
    first, control = bench.run(mode, point.operation.number)
    hit = [read for read in read_points(control.operations()) if read.operation.number >= point.operation.number]
    reasons = [] if control.fired else ["the fault was not reached"]
    if hit and hit[0].operation.name != point.operation.name and point.operation.name != "write":
        reasons.append(f"another operation was hit: {hit[0].operation.name} {hit[0].file}")
    reasons += _faults_of_first(first, mode)
    again, _ = bench.run()
    verdict = EQUAL if first.status == 0 or mode in KILLS else ONE_LINE
    said = _said(first) if verdict == ONE_LINE else ""
    if again.status != 0:
        reasons += [f"again: {_shortened(reason)}" for reason in faults_of_report(again) or [_said(again)]]
    else:
        reasons += bench.expected.differences(bench.remains())
    verdict = WRONG if reasons else verdict
    return Trial(point.operation.number, point.operation.name, point.kind, point.file, mode, verdict, reasons, said)


def _faults_of_first(outcome: forks.Outcome, mode: str) -> list[str]:
    if mode in KILLS:
        return [] if outcome.status == -signal.SIGKILL else [f"killed, but ended with status {outcome.status}"]
    return faults_of_report(outcome) if outcome.status != 0 else []


def _shortened(line: str) -> str:
    """Leaves out the folders of this machine and names drawn at random."""
    return RANDOM.sub("*", re.sub(rf"/\S*/{WORK}/", "", line))[:300]


def faults_of_report(outcome: forks.Outcome) -> list[str]:
    """Returns the faults of how a command reports that it failed, which should take one line."""
    if outcome.status == forks.HUNG:
        return ["did not end"]
    if outcome.status not in (1, 2):
        return [f"ended with status {outcome.status}"]
    lines = outcome.error.splitlines()
    traces = [n for n, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if traces:
        last = next((line for line in reversed(lines) if line.strip() and not line.startswith(" ")), "")
        return [f"traceback: {_shortened(last)}"]
    said = [line for line in lines if line.startswith("error: ")]
    return [] if len(said) == 1 else [f"{len(said)} lines begin with 'error: '"]


def _said(outcome: forks.Outcome) -> str:
    return next((line for line in outcome.error.splitlines() if line.startswith("error: ")), "")
