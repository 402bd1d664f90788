"""The report examples of a data set: one row of values per run, in one order, read when needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clsnorm.errors import DamagedFileError, InputError
from clsnorm.report.sweeps.example_scores import class_scores, of_classes, of_values
from clsnorm.report.sweeps.run_row import RunRow
from clsnorm.run_folder import RunFolder

if TYPE_CHECKING:
    import pyarrow as pa

Array = np.ndarray
UNSTATED_METRICS = {  # of own files
    "accuracy": {"_target_": "MulticlassAccuracy", "average": "micro"},
    "pearson": {"_target_": "PearsonCorrCoef"},
    "spearman": {"_target_": "SpearmanCorrCoef"},
}
TOLERANCE = 1e-4  # between a recomputed score and the stored one


@dataclass(frozen=True)
class Predicted:
    """What a run said of the report examples.

    Attributes:
        ids: Example ids.
        labels: Class ids or values.
        values: ``(n, C)`` probabilities, or ``(n,)`` values of regression; NaN where a run diverged.
    """

    ids: Array
    labels: Array
    values: Array

    @property
    def regression(self) -> bool:
        return self.values.ndim == 1

    @property
    def classes(self) -> Array:
        """The predicted classes; the most frequent label where there is no prediction."""
        constant = int(np.bincount(self.labels.astype(int)).argmax())
        whole = np.isfinite(self.values).all(1)
        return np.where(whole, np.nan_to_num(self.values).argmax(1), constant)


def read_answers(folder: Path) -> Predicted | None:
    """Returns a run's predictions on the report split; None if it has none that can be read."""
    try:
        table = RunFolder(folder).read_predictions()
    except DamagedFileError:
        return None
    try:
        found = None if table is None else _predicted(table)
    except (KeyError, NotImplementedError, TypeError, ValueError):  # columns that are missing or no numbers
        return None
    return found if found is not None and _is_sound(found) else None


def class_answers(rows: Iterable[RunRow]) -> list[Predicted]:
    """Returns the predictions of the runs of a classification; runs without any that can be read are left out."""
    read = (read_answers(row.path) for row in rows)
    return [found for found in read if found is not None and not found.regression]


def _predicted(table: pa.Table) -> Predicted | None:
    import pyarrow.compute as pc

    table = table.filter(pc.equal(table["part"], "report"))
    names = [name for name in table.column_names if name == "value" or (name[:1] == "p" and name[1:].isdigit())]
    columns = [table[name].to_numpy().astype(np.float64) for name in names]
    if not columns or not len(table):
        return None
    values = columns[0] if names == ["value"] else np.column_stack(columns)
    return Predicted(table["example_id"].to_numpy(), table["label"].to_numpy(), values)


def _is_sound(found: Predicted) -> bool:
    """Are ids whole numbers, labels finite ones, of classes those that have a probability, and is that one, or NaN?"""
    if found.ids.dtype.kind not in "iu" or found.labels.dtype.kind not in "iuf" or not np.isfinite(found.labels).all():
        return False
    if found.regression:
        return True
    labels = found.labels
    if (found.values < -TOLERANCE).any() or (found.values > 1 + TOLERANCE).any():
        return False
    return bool((labels == np.floor(labels)).all() and labels.min() >= 0 and labels.max() < found.values.shape[1])


class ExampleTable:
    """Values of the report examples for the runs of one task, read once each.

    Attributes:
        note: Why scores are not taken apart into examples; empty if they are.
        labels: Of the examples, once a run was read.
    """

    def __init__(self, task: str) -> None:
        self._task = task
        self._ids: Array | None = None
        self._values: dict[str, Array | None] = {}
        self.labels: Array | None = None
        self.note = ""

    def values(self, row: RunRow) -> Array | None:
        """Returns ``(E,)`` values whose mean is the run's score; None if its predictions do not give them.

        A run without a score, such as a diverged one, gets those of the most frequent answer.

        Raises:
            InputError: If its report examples are not those of the other runs.
        """
        key = str(row.path)
        if key not in self._values:
            self._values[key] = self._read(row)
        return self._values[key]

    def _read(self, row: RunRow) -> Array | None:
        answers = read_answers(row.path)
        if answers is None:
            self.note = f"{row.path} has no predictions that can be read"
            return None
        self._require_same_examples(row, answers)
        found = score_of(answers, metric_of(row))
        if found is None:
            self.note = f"{row.results['monitor']} is not known here, so its examples are not either"
            return None
        score, values = found
        if np.isfinite(row.score) and abs(score - row.score) > TOLERANCE:
            self.note = f"{row.path}: its predictions give {score:.4f}, not the stored {row.score:.4f}"
            return None
        return values.astype(np.float32)

    def _require_same_examples(self, row: RunRow, answers: Predicted) -> None:
        if self._ids is None or self.labels is None:
            self._ids, self.labels = answers.ids, answers.labels
        if not (np.array_equal(self._ids, answers.ids) and np.array_equal(self.labels, answers.labels)):
            raise InputError(
                f"These runs cannot be pooled: {self._task}: the report examples of {row.path} are not those of the "
                "other runs. Leave it out, or run it again on the same data"
            )


def metric_of(row: RunRow) -> Mapping[str, Any]:
    """Returns the configuration of the monitored metric; an empty one if it is not stated, as for own files."""
    name = row.results["monitor"]
    prefix = f"data.metrics.{name}."
    from clsnorm.run_folder.config_blocks import flat

    values = flat(row.blocks["data"]) if "data" in row.blocks else {}
    found = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    return found or UNSTATED_METRICS.get(name, {})


def score_of(answers: Predicted, metric: Mapping[str, Any]) -> tuple[float, Array] | None:
    """Returns a metric and the values of its examples; None if it is not known."""
    if answers.regression:
        kind = str(metric.get("_target_")).rpartition(".")[2]
        values = np.where(np.isfinite(answers.values), answers.values, np.nanmean(answers.labels))
        return of_values(kind, answers.labels.astype(np.float64), values)
    score = class_scores(metric)
    if score is None:
        return None
    return of_classes(score, answers.labels.astype(int), answers.classes, answers.values.shape[1])
