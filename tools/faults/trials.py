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
from faults.interposer import PAUSE, Control
from faults.points import RANDOM, Point, read_points
from faults.states import Memory, State, Store, record

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
        repeated: How often the same command was run again. Less often than there were trials if `copy_kills` was
            called: where nothing that it needs differs from an earlier trial, the result of that one is taken.
    """

    def __init__(self, command: Command, folder: Path, inputs: Path) -> None:
        self.command, self.work, self.notes = command, folder / WORK, folder / "notes"
        self._inputs, self._before = inputs, folder / "before"
        self.expected = Remains({}, frozenset())
        self.repeated = 0
        self._store: Store | None = None
        self._kills: dict[tuple[int, str], State] = {}
        self._memory: Memory[list[str]] = Memory()
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

    def run(self, mode: str | None = None, number: int = 0, *, reads: bool = False) -> tuple[forks.Outcome, Control]:
        """Runs the command once, with a fault or only counting."""
        control = Control(self.notes, self.work, mode, number, reads=reads)
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

    def copy_kills(self) -> None:
        """Runs the command once, and copies what a kill at each operation, or in the middle of a write, would leave."""
        self._store = Store(self.notes.parent / "contents")
        self.reset()
        control = Control(self.notes, self.work, PAUSE)
        child = forks.start(self.command.words, folder=self.work, notes=self.notes, control=control)
        self._kills = {(number, mode): state for number, mode, state in record(child, control, self.work, self._store)}

    def lay_out_kill(self, number: int, mode: str) -> bool:
        """Fills the working directory with what a kill leaves; False if that was not copied."""
        if self._store is None or (number, mode) not in self._kills:
            return False
        self._store.restore(self._kills[number, mode], self.work)
        return True

    def repeat(self) -> list[str]:
        """Runs the command in the working directory as it is, and returns what is wrong with its end."""
        if self._store is None:
            return self._judge(self.run()[0])
        before = self._store.copy(self.work)
        if (known := self._memory.find(before)) is None:
            outcome, control = self.run(reads=True)
            known = self._judge(outcome)
            self._memory.add(before, self._store.copy(self.work), control.files_read(), known)
        return known

    def _judge(self, again: forks.Outcome) -> list[str]:
        self.repeated += 1
        if again.status != 0:
            return [f"again: {_shortened(reason)}" for reason in faults_of_report(again) or [_said(again)]]
        return self.expected.differences(self.remains())

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
    """Injects one fault, or lays out what it leaves if that was copied, runs the same command again and judges it."""
    reasons, said, verdict = [], "", EQUAL
    if not bench.lay_out_kill(point.operation.number, mode):
        first, reasons = _inject(bench, point, mode)
        if first.status != 0 and mode not in KILLS:
            verdict, said = ONE_LINE, _said(first)
    reasons += bench.repeat()
    verdict = WRONG if reasons else verdict
    return Trial(point.operation.number, point.operation.name, point.kind, point.file, mode, verdict, reasons, said)


def _inject(bench: Bench, point: Point, mode: str) -> tuple[forks.Outcome, list[str]]:
    bench.reset()
    first, control = bench.run(mode, point.operation.number)
    hit = [read for read in read_points(control.operations()) if read.operation.number >= point.operation.number]
    reasons = [] if control.fired else ["the fault was not reached"]
    if hit and hit[0].operation.name != point.operation.name and point.operation.name != "write":
        reasons.append(f"another operation was hit: {hit[0].operation.name} {hit[0].file}")
    return first, reasons + _faults_of_first(first, mode)


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
