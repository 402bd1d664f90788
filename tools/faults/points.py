"""Which operations of a command to hit: all, or a selection by kind of operation and of file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from faults.interposer import Operation

KINDS = {  # kind of file: how its path begins, ends, or what it contains
    "rows cache": r"^cache/rows/.",
    "token cache": r"^cache/tokens/.",
    "calibration": r"^cache/calibrations/.",
    "sweep record": r"/\.jobs-",
    "plan": r"/\.plan(/|$)",
    "replaced run": r"/\.replaced(/|$)",
    "config.yaml": r"/config\.yaml$",
    "last.ckpt": r"/\.?last\.ckpt$",
    "selected.ckpt": r"/\.?selected\.ckpt$",
    "metrics.csv": r"/metrics\.csv$",
    "events.csv": r"/events\.csv$",
    "predictions.parquet": r"/predictions\.parquet$",
    "statistics": r"/statistics(/|$)",
    "results.json": r"/results\.json$",
    "error.json": r"/error\.json$",
    "lease": r"/\.(workers\.)?lease(/|$)",
    "multirun.yaml": r"/multirun\.yaml$",
    "snapshots": r"/\.?snapshots(/|$)",
    "figures": r"/figures(/|$)",
    "analysis.json": r"/analysis\.json$",
    "analysis.csv": r"/analysis\.csv$",
    "analysis.html": r"/analysis\.html$",
    "index.html": r"/index\.html$",
    "temporary": r"^tmp/",
}
NEED_ROOM = ("open", "write", "mkdir", "rename", "fsync", "link")  # what a full disk can refuse
RANDOM = re.compile(r"[0-9a-f]{32}|draft-[^/]+|\.jobs-[^/]+|(?<=^tmp/)[^/]+")  # parts of names


@dataclass(frozen=True)
class Point:
    """One operation, with the file that it is for: that of a draft is the one that it replaces later."""

    operation: Operation
    file: str

    @property
    def kind(self) -> str:
        """Kind of file."""
        found = (kind for kind, pattern in KINDS.items() if re.search(pattern, self.file))
        return next(found, "folder")

    @property
    def place(self) -> tuple[str, str]:
        """Operation and file, equal in all runs of a command: random names are left out."""
        return self.operation.name, RANDOM.sub("*", self.file)

    def allows(self, mode: str) -> bool:
        """Can this operation fail in this way?"""
        if mode == "truncate":
            return self.operation.name == "write" and self.operation.size > 1
        return mode != "enospc" or self.operation.name in NEED_ROOM


def read_points(operations: Sequence[Operation]) -> list[Point]:
    """Returns the operations of a command with the files that they are for."""
    renames = [operation for operation in operations if operation.name == "rename"]
    return [Point(operation, _destination(operation, renames)) for operation in operations]


def _destination(operation: Operation, renames: Iterable[Operation]) -> str:
    path = PurePath(operation.path)
    for rename in renames:
        if rename.number >= operation.number and path.is_relative_to(rename.path):
            path = PurePath(rename.other) / path.relative_to(rename.path)
    return str(path)


def thin(points: Sequence[Point], by: str) -> list[Point]:
    """Returns the points to try.

    Args:
        points: All of a command.
        by: ``operation``: all; ``file``: the first, middle and last of each operation on each file; ``kind``: the
            middle one of each operation on each kind of file.
    """
    if by == "operation":
        return list(points)
    groups = defaultdict(list)
    for point in points:
        groups[point.place if by == "file" else (point.operation.name, point.kind)].append(point)
    chosen = []
    for group in groups.values():
        places = {0, len(group) // 2, len(group) - 1} if by == "file" else {len(group) // 2}
        chosen += [group[place] for place in sorted(places)]
    return sorted(chosen, key=lambda point: point.operation.number)
