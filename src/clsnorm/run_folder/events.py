"""``events.csv``: what happened in a run and may not show in a curve."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError
from clsnorm.files import append
from clsnorm.run_folder.csv_file import (
    CHANGED_ROWS,
    CsvFile,
    Row,
    csv_line,
    differs,
    fault_of_step,
    read_csv,
    sound_rows,
    write_csv,
)
from clsnorm.run_folder.table_digest import Mark, TableDigest

log = logging.getLogger(__name__)
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
        digest: Of what was written to the file.
        loggers: Loggers that also get the number of events of a kind so far, as ``events/{kind}``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loggers: list[Any] = []
        self.digest = TableDigest()
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """Number of rows, on the process that adds them."""
        return self._counts.total()

    def keep_first(self, count: int, mark: Mark | None = None) -> None:
        """Starts the file, or drops the rows after the first ``count``.

        Damaged rows are dropped with a warning; if some are missing or differ from ``mark``, that is logged, too.
        """
        try:
            found = _read(self.path)
        except DamagedFileError as error:
            log.warning("%s: it is replaced", error)
            found = CsvFile()
        rows = [row for row, place in zip(found.rows, found.places, strict=True) if place < count]
        if len(rows) < count:
            log.warning("%s: %d of %d events before the resume point are lost", self.path, count - len(rows), count)
            self.digest.intact = False
        elif differs(found.columns or COLUMNS, rows, mark):
            log.warning("%s: %s", self.path, CHANGED_ROWS.format("before the resume point"))
            self.digest.intact = False
        self._counts = Counter(row["kind"] for row in rows)
        write_csv(self.path, COLUMNS, rows, self.digest)

    def add(self, *, step: int, kind: str, place: str = "", value: float | str = "", rank: int | str = "") -> None:
        """Adds a row; call it on one process.

        Raises:
            DiskError: If the file is gone, or cannot be written.
        """
        line = csv_line([step, rank, kind, place, value])
        append(self.path, line)
        self.digest.add(line)
        self._counts[kind] += 1
        for logger in self.loggers:
            logger.log_metrics({f"events/{kind}": float(self._counts[kind])}, step=step)


def read_events(path: Path) -> list[Row]:
    """Returns all rows, by column; none if the file does not exist.

    Raises:
        DamagedFileError: If a row is damaged; one that is being written is left out.
    """
    return sound_rows(path, _read(path))


def _read(path: Path) -> CsvFile:
    found = read_csv(path, _fault_of, first=COLUMNS[0])
    if found.columns and not {"step", "kind"} <= set(found.columns):
        raise DamagedFileError.of(path, f"its columns are {', '.join(found.columns[:5])}")
    return found


def _fault_of(row: Row) -> str:
    return fault_of_step(row) or ("" if row["kind"] else "an event without a kind")
