"""Writes rows with their predictions as CSV, TSV, JSON Lines or Parquet, chunk by chunk."""

from __future__ import annotations

import csv
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from clsnorm.errors import InputError
from clsnorm.files import replacing
from clsnorm.predict.text_files import Rows

if TYPE_CHECKING:
    from clsnorm.experiment.prediction import Prediction

PREDICTED, PROBABILITY, VALUE = "predicted", "probability", "value"


def answers(prediction: Prediction) -> Rows:
    """Returns the columns of a prediction.

    These are ``predicted`` (the class), ``probability`` (its own) and ``p_NAME`` for each class; or ``value``. All are
    None where logits are not finite.
    """
    if prediction.probabilities is None:
        return {VALUE: prediction.labels}
    columns = {f"p_{name}": _plain(prediction.probabilities[:, at]) for at, name in enumerate(prediction.classes or ())}
    return {PREDICTED: prediction.labels, PROBABILITY: _plain(prediction.probabilities.max(1)), **columns}


def _plain(numbers: Any) -> list[float | None]:
    """Returns float32 numbers as the shortest decimals that stand for them; NaN becomes None."""
    return [None if math.isnan(number) else float(str(number)) for number in numbers]


def joined(rows: Rows, prediction: Prediction) -> Rows:
    """Returns the rows of a file with the columns of their predictions.

    Raises:
        InputError: If the file has a column of such a name.
    """
    added = answers(prediction)
    if same := [name for name in added if name in rows]:
        raise InputError(f"Expected no column named {same[0]!r}, since predictions get this name. Rename the column")
    return {**rows, **added}


class AnswerWriter(ABC):
    """Writes chunks of rows to an open file."""

    @abstractmethod
    def add(self, rows: Rows) -> None:
        """Writes a chunk; all have the same columns."""


class CellWriter(AnswerWriter):
    """CSV or TSV with a header; RFC 4180, so that any text can be read back. An empty cell is null.

    Args:
        file: Open for text, with ``newline=""``.
        delimiter: Between cells.
    """

    def __init__(self, file: IO[str], delimiter: str) -> None:
        self._writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        self._started = False

    def add(self, rows: Rows) -> None:
        if not self._started:
            self._writer.writerow(rows)
            self._started = True
        self._writer.writerows(zip(*rows.values(), strict=True))


class LineWriter(AnswerWriter):
    """JSON Lines: an object a row.

    Args:
        file: Open for text.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def add(self, rows: Rows) -> None:
        for row in zip(*rows.values(), strict=True):
            self._file.write(json.dumps(dict(zip(rows, row, strict=True)), ensure_ascii=False) + "\n")


class TableWriter(AnswerWriter):
    """Parquet; the types are those of the first chunk.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def add(self, rows: Rows) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            table = pa.table(rows, schema=self._writer.schema if self._writer else None)
        except pa.ArrowException as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise InputError(
                f"Expected each column to have one type, for Parquet, but {reason}. Write output=FILE.jsonl"
            ) from None
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Completes the file."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def writing_answers(path: Path, form: str) -> Iterator[AnswerWriter]:
    """Yields a writer whose file replaces ``path`` at the end, if nothing was raised.

    Args:
        path: The file.
        form: A name of `FORMATS`; ``lines`` are written as TSV.
    """
    with replacing(path) as draft:
        if form == "parquet":
            with closing(TableWriter(draft)) as writer:
                yield writer
        else:
            with draft.open("w", encoding="utf-8", newline="") as file:
                yield writer_of(file, form)


def writer_of(file: IO[str], form: str) -> AnswerWriter:
    """Returns the writer of a text format for an open file."""
    return LineWriter(file) if form == "jsonl" else CellWriter(file, "," if form == "csv" else "\t")
