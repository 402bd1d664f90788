"""What a run answers on its report split: scores of classes, confusion, calibration, and its surest mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clsnorm.dashboard.curves import GREY
from clsnorm.pages import figure as plotting
from clsnorm.report.estimates.agreement import brier, calibration_error, confidence_bins
from clsnorm.report.estimates.class_scores_of_arms import class_names, class_scores, confusion
from clsnorm.report.inference.binomials import clopper_pearson
from clsnorm.report.sweeps.example_table import Predicted

Array = np.ndarray
FEW_CLASSES = 12  # of more, the confusion is a list of pairs instead of a matrix
MOST = 20  # mistakes, and pairs of classes
BINS = 10  # of confidence
MEANINGS = {
    "recall": "share of the class's rows that are predicted as it",
    "precision": "share of the rows predicted as the class that are of it",
    "f1": "harmonic mean of both",
}


@dataclass(frozen=True)
class RunAnswers:
    """Plain rows for the page; what does not apply is empty.

    Attributes:
        classes: A row for each class: name, rows, scores, and the exact 95 % interval of the recall.
        matrix: A row for each true class, with the number of rows by predicted class.
        names: Of the columns of ``matrix``.
        pairs: The most frequent confusions, for many classes.
        bins: A row for each bin of confidence that has rows.
        calibration: Calibration error and Brier's score by name.
        figure: The bins as SVG text.
        mistakes: The wrong answers with the highest probability, or the largest errors of a regression.
    """

    classes: list[dict[str, Any]] = field(default_factory=list)
    matrix: list[dict[str, Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    bins: list[dict[str, Any]] = field(default_factory=list)
    calibration: list[tuple[str, float]] = field(default_factory=list)
    figure: str = ""
    mistakes: list[dict[str, Any]] = field(default_factory=list)


def describe_answers(
    found: Predicted | None, labels: Sequence[str] | None, texts: Mapping[int, Sequence[str]] | None = None
) -> RunAnswers | None:
    """Returns the tables of one run; None if it has no predictions, or some are not finite.

    Args:
        found: The predictions on report.
        labels: Names of the classes; None: their numbers.
        texts: Of the examples, by id, to show next to mistakes.
    """
    if found is None or not len(found.labels) or not np.isfinite(found.values).all():
        return None
    shown = texts or {}
    if found.regression:
        return RunAnswers(mistakes=_largest_errors(found, shown))
    true, said = found.labels.astype(int), found.classes
    count = found.values.shape[1]
    names = class_names(labels, count)
    counts = confusion(true, said, count)
    few = count <= FEW_CLASSES
    bins = _bins(true, found.values)
    return RunAnswers(
        classes=_classes(counts, names),
        matrix=[{"name": name, "counts": row.tolist()} for name, row in zip(names, counts, strict=True)] if few else [],
        names=names,
        pairs=[] if few else _pairs(counts, names),
        bins=bins,
        calibration=[
            ("expected calibration error", calibration_error(true, found.values)),
            ("Brier score", brier(true, found.values)),
        ],
        figure=_draw(bins),
        mistakes=_surest_mistakes(found, names, shown),
    )


def _classes(counts: Array, names: Sequence[str]) -> list[dict[str, Any]]:
    scores, totals, hits = class_scores(counts), counts.sum(1), counts.diagonal()
    return [
        {
            "name": name,
            "rows": int(totals[place]),
            **{key: float(values[place]) for key, values in scores.items()},
            "interval": clopper_pearson(int(hits[place]), int(totals[place])) if totals[place] else None,
        }
        for place, name in enumerate(names)
    ]


def _pairs(counts: Array, names: Sequence[str]) -> list[dict[str, Any]]:
    wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    largest = np.argsort(-wrong, axis=None, kind="stable")[:MOST]
    places = (divmod(int(place), len(counts)) for place in largest)
    return [
        {"true": names[i], "said": names[j], "rows": int(wrong[i, j]), "share": float(wrong[i, j] / counts[i].sum())}
        for i, j in places
        if wrong[i, j]
    ]


def _bins(labels: Array, probabilities: Array) -> list[dict[str, Any]]:
    rows = []
    for place, (number, confidence, right) in enumerate(
        zip(*confidence_bins(labels, probabilities, BINS), strict=True)
    ):
        if number:
            share, ends = right / number, clopper_pearson(int(right), int(number))
            row = {"low": place / BINS, "high": (place + 1) / BINS, "rows": int(number), "interval": ends}
            rows.append(row | {"confidence": float(confidence / number), "accuracy": float(share)})
    return rows


def _draw(bins: Sequence[Mapping[str, Any]]) -> str:
    """Draws the accuracy of each bin, with its exact 95 % interval, over its mean confidence."""
    with plotting.figure(size=(3.4, 2.7)) as (drawing, axes):
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="calibrated")
        x, y = ([row[key] for row in bins] for key in ("confidence", "accuracy"))
        ends = np.abs(np.array([row["interval"] for row in bins]).T - np.array(y))
        look = plotting.LINES[0]
        axes.errorbar(x, y, yerr=ends, color=look.colour, marker=look.marker, linestyle="none", label="accuracy, 95 %")
        axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.02), xlabel="probability of the predicted class", ylabel="accuracy")
        axes.legend(loc="upper left")
        plotting.title(axes, "Calibration on report")
        return plotting.finish(drawing).svg


def _surest_mistakes(
    found: Predicted, names: Sequence[str], texts: Mapping[int, Sequence[str]]
) -> list[dict[str, Any]]:
    sure, said, true = found.values.max(1), found.classes, found.labels.astype(int)
    order = [place for place in np.argsort(-sure, kind="stable") if said[place] != true[place]][:MOST]
    return [
        {
            "id": int(found.ids[place]),
            "true": names[true[place]],
            "said": names[said[place]],
            "number": float(sure[place]),
            "text": _joined(texts.get(int(found.ids[place]), ())),
        }
        for place in order
    ]


def _largest_errors(found: Predicted, texts: Mapping[int, Sequence[str]]) -> list[dict[str, Any]]:
    errors = found.values - found.labels
    return [
        {
            "id": int(found.ids[place]),
            "true": float(found.labels[place]),
            "said": float(found.values[place]),
            "number": float(errors[place]),
            "text": _joined(texts.get(int(found.ids[place]), ())),
        }
        for place in np.argsort(-np.abs(errors), kind="stable")[:MOST]
    ]


def _joined(texts: Sequence[str]) -> str:
    return " — ".join(texts)
