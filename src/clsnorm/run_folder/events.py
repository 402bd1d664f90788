"""``events.csv``: what happened in a run that a curve may hide."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from clsnorm.files import write_text

COLUMNS = ("step", "rank", "kind", "place", "value")


class Events:
    """Rows of a step, the process it was seen on, a kind of event, where it was seen, and the value that says so.

    ``place`` is a logged name, or the tap of a value. ``rank`` is empty where a number of all processes is judged. Each
    row is written at once. ``step`` numbers the row in ``metrics.csv`` (`clsnorm.lightning_internals.step_number`); of
    a resumed run, that of the step it goes on with. Rows keep the order in which events were reported, so one of an
    earlier step may follow. A resumed run drops what it will see again: the rows after those that
    its resume point counts.

    Args:
        path: The CSV file; made with its heading when the run starts.

    Attributes:
        loggers: Loggers that are told how many events of a kind there were so far, as ``events/{kind}``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loggers: list[Any] = []
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """Number of rows, on the process that adds them."""
        return self._counts.total()

    def keep(self, count: int) -> None:
        """Starts the file, or drops the rows after the first ``count``."""
        rows = self.read()[:count]
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

    def read(self) -> list[dict[str, str]]:
        """Returns all rows."""
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
