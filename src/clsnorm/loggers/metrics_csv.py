"""Writes ``metrics.csv``; `clsnorm.run_folder.series` states its format."""

from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from clsnorm.files import append, writing
from clsnorm.run_folder.csv_file import csv_line, differs, write_csv
from clsnorm.run_folder.series import keep_until, read_columns, read_rows
from clsnorm.run_folder.table_digest import Mark, TableDigest


class MetricsCsv(Logger):
    """Writes logged metrics to a CSV file that grows a column when a new name appears.

    Unlike Lightning's ``CSVLogger`` it can resume: `keep_until` drops the rows after the resume point.

    Args:
        path: The CSV file.

    Attributes:
        digest: Of what was written to the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._row: dict[str, Any] = {}
        self.digest = TableDigest()
        self._begun = False
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
        """Does nothing: the configuration is in ``config.yaml``."""

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
        if self._begun:
            with writing(self._path):
                self._path.stat()  # a deleted file must not be created again, without its earlier rows
        columns = read_columns(self._path)
        if missing := [name for name in row if name not in columns]:
            rows = read_rows(self._path)
            self.digest.intact &= not (self._begun and differs(columns, rows, self.digest.mark()))
            columns += missing
            write_csv(self._path, columns, rows, self.digest)
        self._begun = True
        line = csv_line([row.get(name, "") for name in columns])
        self._written = (append(self._path, line), row)
        self.digest.add(line)

    def _take_back(self) -> None:
        """Removes the last row from the file, so that later numbers of its step join it."""
        assert self._written is not None
        start, self._row = self._written
        self._written = None
        with writing(self._path), self._path.open("r+b") as file:
            file.truncate(start)
        self.digest.take_back()

    @override
    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    @rank_zero_only
    def keep_until(self, step: int, mark: Mark | None = None) -> None:
        """Starts the file, or drops the rows of ``step`` and later: a resumed run will log them again.

        Earlier rows that differ from ``mark``, that of the resume point, are warned of.
        """
        keep_until(self._path, step, self.digest, mark)
        self._begun = self._path.exists()
