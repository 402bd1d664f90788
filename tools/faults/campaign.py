"""All trials of one command, on several processes."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from faults import forks
from faults.points import Point, thin
from faults.trials import EQUAL, ONE_LINE, WRONG, Bench, Trial, conduct

NUMBER = struct.Struct("=I")
Task = tuple[Point, str]


def tasks(
    points: Sequence[Point], modes: Sequence[str], by: str, only: Sequence[str] = (), operations: Sequence[str] = ()
) -> list[Task]:
    """Returns the faults to inject: points, thinned as `faults.points.thin` does, with all modes or one in turn.

    Args:
        points: All of a command.
        modes: Ways to fail.
        by: ``operation`` and ``file``: each mode; ``kind``: one mode a point, the next one at the next point.
        only: Kinds of files; all if empty.
        operations: Kinds of operations; all if empty.
    """
    points = [point for point in points if not only or point.kind in only]
    points = [point for point in points if not operations or point.operation.name in operations]
    if by != "kind":
        return [(point, mode) for mode in modes for point in thin([p for p in points if p.allows(mode)], by)]
    chosen = []
    for number, point in enumerate(thin(points, by)):
        turned = [*modes[number % len(modes) :], *modes[: number % len(modes)]]
        chosen += [(point, mode) for mode in turned if point.allows(mode)][:1]
    return chosen


def run_all(
    benches: Sequence[Bench], chosen: Sequence[Task], report: Callable[[Trial, int], None], *, copied: bool = False
) -> list[Trial]:
    """Conducts all trials, one process for each bench, and returns them in order.

    Args:
        benches: One a process; they work in different folders.
        chosen: Points and modes.
        report: Called with each finished trial, and how many have ended.
        copied: Whether to take what kills leave from one run, as `Bench.copy_kills` does.
    """
    found: dict[int, Trial] = {}
    numbers, results = os.pipe(), os.pipe()
    feeder = forks.fork(lambda: _feed(numbers[1], len(chosen)))
    workers = [forks.fork(lambda bench=bench: _work(bench, chosen, numbers, results, copied)) for bench in benches]
    for end in (*numbers, results[1]):
        os.close(end)
    with os.fdopen(results[0]) as lines:
        for line in lines:
            number, fields = json.loads(line)
            found[number] = Trial(**fields)
            report(found[number], len(found))
    for child in (feeder, *workers):
        os.waitpid(child, 0)
    if len(found) < len(chosen):
        raise RuntimeError(f"only {len(found)} of {len(chosen)} trials ended: a process that conducts them crashed")
    return [found[number] for number in range(len(chosen))]


def _feed(to: int, count: int) -> int:
    for number in range(count):
        os.write(to, NUMBER.pack(number))
    return 0


def _work(
    bench: Bench, chosen: Sequence[Task], numbers: tuple[int, int], results: tuple[int, int], copied: bool
) -> int:
    os.close(numbers[1])
    bench.learn()
    if copied:
        bench.copy_kills()
    while taken := os.read(numbers[0], NUMBER.size):
        (number,) = NUMBER.unpack(taken)
        point, mode = chosen[number]
        line = json.dumps([number, asdict(conduct(bench, point, mode))])
        os.write(results[1], f"{line}\n".encode())
    return 0


def table(trials: Sequence[Trial]) -> str:
    """Returns the counts by operation, kind of file and mode: equal, one line, WRONG."""
    modes = list(dict.fromkeys(trial.mode for trial in trials))
    counts = Counter((trial.kind, trial.name, trial.mode, trial.verdict) for trial in trials)
    lines = [f"{'file':20} {'operation':10}" + "".join(f" {mode:>24}" for mode in modes)]
    for kind, name in sorted({(trial.kind, trial.name) for trial in trials}):
        lines.append(f"{kind:20} {name:10}" + "".join(f" {_cell(counts, kind, name, mode):>24}" for mode in modes))
    total = Counter(trial.verdict for trial in trials)
    lines.append(f"{len(trials)} faults: " + ", ".join(f"{total[v]} {v}" for v in (EQUAL, ONE_LINE, WRONG)))
    return "\n".join(lines)


def _cell(counts: Counter[tuple[str, str, str, str]], kind: str, name: str, mode: str) -> str:
    parts = [(counts[kind, name, mode, verdict], verdict) for verdict in (EQUAL, ONE_LINE, WRONG)]
    return ", ".join(f"{count} {verdict}" for count, verdict in parts if count)


def wrong(trials: Sequence[Trial], command: str) -> str:
    """Returns what went wrong: equal reasons once, with their count and a command that reproduces them."""
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trials:
        if trial.verdict == WRONG:
            groups.setdefault((trial.kind, *sorted({_cause(reason) for reason in trial.reasons})), []).append(trial)
    lines = []
    for (kind, *_), members in sorted(groups.items(), key=lambda item: -len(item[1])):
        first = members[0]
        again = f"--mode {first.mode} --number {first.number}"
        modes = ", ".join(sorted({f"{trial.mode} at {trial.name}" for trial in members}))
        lines.append(f"WRONG {len(members)}x {kind} ({modes}); {first.file}")
        lines += [f"    {reason}" for reason in first.reasons[:4]]
        lines += [f"    and {len(first.reasons) - 4} more"] if len(first.reasons) > 4 else []
        lines.append(f"    {Path(sys.argv[0])} one {command} {again}")
    return "\n".join(lines)


def _cause(reason: str) -> str:
    """Returns the part of a reason that is equal for one cause: the beginning, without random names."""
    words = reason.split(":")
    return ":".join(words[:2])[:40] if words[0] not in ("stray", "missing", "differs") else words[0]
