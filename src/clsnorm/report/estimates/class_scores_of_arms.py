"""Recall, precision and F1 of each class, and which classes are taken for which: by arm, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clsnorm.report.sweeps.example_table import class_answers
from clsnorm.report.sweeps.run_row import RunRow

Array = np.ndarray
Runs = Mapping[tuple[str, str], Sequence[RunRow]]  # by data set and arm
Tables = Mapping[tuple[str, str], tuple[list[str], Array]]


def confusion(labels: Array, answers: Array, classes: int) -> Array:
    """Returns the counts ``(C, C)``, rows true, columns predicted."""
    return np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)


def class_names(labels: Sequence[object] | None, classes: int) -> list[str]:
    """Returns the names of the classes that a run has recorded, or their numbers if these are not one for each."""
    return [str(label) for label in (labels if labels and len(labels) == classes else range(classes))]


def class_scores(counts: Array) -> dict[str, Array]:
    """Returns recall, precision and F1 of each class; 0 where there is nothing to divide by.

    Args:
        counts: ``(..., C, C)``, as of `confusion`.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    true, said = counts.sum(-1), counts.sum(-2)
    totals = {"recall": true, "precision": said, "f1": (true + said) / 2}
    return {name: hits / np.where(total > 0, total, 1) for name, total in totals.items()}


def class_tables(runs: Runs) -> Tables:
    """Returns the names of the classes and the confusion of each run, ``(S, C, C)``, by data set and arm.

    A run without a prediction answers with the most frequent class. Regression is left out.
    """
    found = {key: _tables(rows) for key, rows in runs.items()}
    return {key: one for key, one in found.items() if one is not None}


def class_lines(tables: Tables, baseline: str) -> list[dict[str, Any]]:
    """Returns a line for each data set, arm and class, means over seeds in points.

    ``f1_gain`` is the mean F1 less that of the baseline over all of its runs, ``confused_with`` the class that most
    examples are wrongly taken for, and ``confused`` the share of the class's examples that are.
    """
    lines = []
    for (task, arm), (names, counts) in tables.items():
        scores = class_scores(counts)
        other = tables.get((task, baseline))
        gains = scores["f1"].mean(0) - class_scores(other[1])["f1"].mean(0) if other else np.full(len(names), np.nan)
        mean = counts.mean(0)
        for place, name in enumerate(names):
            wrong = np.where(np.arange(len(names)) == place, 0.0, mean[place])
            line: dict[str, Any] = {"task": task, "arm": arm, "class": name, "rows": float(mean[place].sum())}
            line |= {key: 100 * float(values[:, place].mean()) for key, values in scores.items()}
            line["f1_sd"] = 100 * float(scores["f1"][:, place].std(ddof=1)) if len(counts) > 1 else None
            line["f1_gain"] = None if arm == baseline else 100 * float(gains[place])
            line["confused_with"] = names[int(wrong.argmax())] if wrong.any() else ""
            lines.append(line | {"confused": float(wrong.max() / max(mean[place].sum(), 1))})
    return lines


def confusion_lines(tables: Tables) -> list[dict[str, Any]]:
    """Returns a line for each data set, arm, true and predicted class: the mean number of rows over seeds."""
    lines = []
    for (task, arm), (names, counts) in tables.items():
        for name, row in zip(names, counts.mean(0), strict=True):
            cells = [{"predicted": other, "rows": float(value)} for other, value in zip(names, row, strict=True)]
            lines += [{"task": task, "arm": arm, "label": name, **cell} for cell in cells]
    return lines


def _tables(rows: Sequence[RunRow]) -> tuple[list[str], Array] | None:
    read = class_answers(rows)
    if not read:
        return None
    classes = read[0].values.shape[1]
    counts = np.stack([confusion(one.labels.astype(int), one.classes, classes) for one in read])
    return class_names(rows[0].source.get("labels"), classes), counts
