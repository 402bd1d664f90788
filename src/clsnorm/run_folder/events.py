"""``events.csv``: what happened in a run and may not show in a curve."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from clsnorm.files import write_text

COLUMNS = ("step", "rank", "kind", "place", "value")


class Events:
    """Writes the rows: step, rank of the process that saw the event, its kind, its place, and the decisive value.

    ``place`` is a logged name, or the tap of a value. ``rank`` is empty if the number is one of all processes. Each row
    is written at once. ``step`` is the row in ``metrics.csv`` (`clsnorm.lightning_internals.step_number`); for kind
    ``resumed`` it is the next step. Rows are in the order in which events were reported, so an earlier step may follow
    a later one. A resumed run drops the rows after those that its resume point counts: it will see their events again.

    Args:
        path: The CSV file; created with its heading when the run starts.

    Attributes:
        loggers: Loggers that also get the number of events of a kind so far, as ``events/{kind}``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loggers: list[Any] = []
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """Number of rows, on the process that adds them."""
        return self._counts.total()

    def keep_first(self, count: int) -> None:
        """Starts the file, or drops the rows after the first ``count``."""
        rows = read_events(self.path)[:count]
        self._counts = Counter(row["kind"] for row in rows)
        lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
        write_text(self.path, "\n".join(lines) + "\n")

    def add(self, *, step: int, kind: str, place: str = "", value: float | str = "", rank: int | str = "") -> None:
        """Adds a row; call it on one process."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([step, rank, kind, place, value])
        self._counts[kind] += 1
        for logger in self.loggers:
            logger.log_metrics({f"events/{kind}": float(self._counts[kind])}, step=step)


def read_events(path: Path) -> list[dict[str, str]]:
    """Returns all rows, by column; none if the file does not exist."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
