"""``events.csv``: what happened in a run that a curve may hide."""

from __future__ import annotations

import csv
from pathlib import Path

from clsnorm.files import write_text

COLUMNS = ("step", "kind", "place", "value")


class Events:
    """Rows of a step, a kind of event, where it was seen and the value that says so.

    Kinds: ``resumed``, ``non_finite_loss``, ``explosion``, ``vanishing``, ``majority_collapse``; ``place`` is a logged
    name. Each row is written at once. As in ``metrics.csv`` a resumed run drops what it will see again.

    Args:
        path: The CSV file; made with its heading when the run starts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep_until(self, step: int) -> None:
        """Starts the file, or drops the rows of ``step`` and later."""
        rows = [row for row in self.read() if int(row["step"]) < step]
        lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
        write_text(self.path, "\n".join(lines) + "\n")

    def add(self, *, step: int, kind: str, place: str = "", value: float | str = "") -> None:
        """Adds a row; call it on one process."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([step, kind, place, value])

    def read(self) -> list[dict[str, str]]:
        """Returns all rows."""
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
