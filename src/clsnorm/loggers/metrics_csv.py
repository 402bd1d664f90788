"""``metrics.csv``: every logged number of a run, one row a step (`clsnorm.lightning_internals.step_number`)."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from clsnorm.files import write_text


class MetricsCsv(Logger):
    """Writes logged metrics to a CSV file that grows a column when a new name appears.

    Unlike Lightning's ``CSVLogger`` it keeps the rows of an interrupted run: `keep_until` drops those after the resume
    point, and the file goes on.

    Args:
        path: The CSV file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._row: dict[str, Any] = {}
        self._written: tuple[int, dict[str, Any]] | None = None  # where the last row starts in the file, and the row

    @property
    @override
    def name(self) -> str:
        return "metrics"

    @property
    @override
    def version(self) -> str:
        return ""

    @override
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration stands in ``config.yaml``."""

    @override
    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self._row and self._row["step"] != step:
            self.save()
        if self._written is not None and self._written[1]["step"] == step:
            self._take_back()
        self._row = {"step": step, **self._row, **metrics}

    @override
    @rank_zero_only
    def save(self) -> None:
        if not self._row:
            return
        row, self._row = self._row, {}
        columns = self._columns()
        if missing := [name for name in row if name not in columns]:
            self._rewrite(self._read(), [*columns, *missing])
            columns += missing
        with self._path.open("a", newline="") as file:
            self._written = (file.tell(), row)
            csv.DictWriter(file, columns).writerow(row)

    def _take_back(self) -> None:
        """Unwrites the last row, so that what is logged later at its step joins it."""
        assert self._written is not None
        start, self._row = self._written
        self._written = None
        with self._path.open("r+b") as file:
            file.truncate(start)

    @override
    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def close(self, results: Mapping[str, Any] | None) -> None:
        """Writes the last row."""
        self.save()

    @rank_zero_only
    def keep_until(self, step: int) -> None:
        """Drops the rows of ``step`` and later, which a resumed run will log again."""
        rows = [row for row in self._read() if int(row["step"]) < step]
        self._rewrite(rows, self._columns())

    def _columns(self) -> list[str]:
        if not self._path.exists():
            return []
        with self._path.open(newline="") as file:
            return next(csv.reader(file), [])

    def _read(self) -> list[dict[str, str]]:
        if not self._path.exists():
            return []
        with self._path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _rewrite(self, rows: list[dict[str, str]], columns: list[str]) -> None:
        lines = [columns, *([row.get(name) or "" for name in columns] for row in rows)]
        if columns:
            write_text(self._path, "".join(_csv_line(line) for line in lines))


def _csv_line(values: list[str]) -> str:
    return ",".join(f'"{value}"' if "," in value else value for value in values) + "\n"
