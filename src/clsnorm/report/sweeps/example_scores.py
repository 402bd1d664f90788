"""Scores of single report examples from ``predictions.parquet``: what lets a comparison take examples as random.

A mean over examples (accuracy) has one value per example. For any other metric ``t`` the jackknife's pseudo-value takes
its place, ``n t - (n - 1) t_without_i`` (Quenouille, 1956; Miller, 1974), shifted so that the mean is ``t``: to first
order, ``t`` is the mean of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

Array = np.ndarray
Score = Callable[[Array], Array]  # of confusion matrices (..., C, C), rows true, columns predicted
BLOCK = 256  # confusion matrices at a time


def class_scores(spec: Mapping[str, Any]) -> Score | None:
    """Returns the metric of a configuration as a function of confusion matrices; None if it is not known here.

    Args:
        spec: ``_target_`` and arguments, as in ``data.metrics`` of a run's configuration.
    """
    kind, average = str(spec.get("_target_")).rpartition(".")[2], spec.get("average", "macro")
    if kind == "MulticlassAccuracy" and average == "micro":
        return lambda c: np.trace(c, axis1=-2, axis2=-1) / c.sum((-2, -1))
    if kind in ("MulticlassAccuracy", "MulticlassRecall") and average == "macro":
        return lambda c: _mean_over_present(_diagonal(c), c.sum(-1), c)
    if kind == "MulticlassF1Score" and average == "macro":
        return lambda c: _mean_over_present(2 * _diagonal(c), c.sum(-1) + c.sum(-2), c)
    if kind == "ClassF1":
        return lambda c: _f1(c)[..., int(spec.get("class_index", 1))]
    if kind == "MeanClassF1":
        return lambda c: _f1(c)[..., list(spec["class_indices"])].mean(-1)
    return matthews if kind == "Matthews" else None


def _diagonal(c: Array) -> Array:
    return np.diagonal(c, axis1=-2, axis2=-1)


def _f1(c: Array) -> Array:
    total = c.sum(-1) + c.sum(-2)
    return 2 * _diagonal(c) / np.where(total > 0, total, 1)


def _mean_over_present(hits: Array, totals: Array, c: Array) -> Array:
    """Mean over the classes that occur among labels or predictions, as torchmetrics has it."""
    there = (c.sum(-1) + c.sum(-2)) > 0
    return (hits / np.where(totals > 0, totals, 1)).sum(-1) / there.sum(-1)


def matthews(c: Array) -> Array:
    """Returns the correlation of Matthews for several classes (Gorodkin, 2004); 0 where it is undefined."""
    n, hits, true, said = c.sum((-2, -1)), np.trace(c, axis1=-2, axis2=-1), c.sum(-1), c.sum(-2)
    spread = np.sqrt((n**2 - (true**2).sum(-1)) * (n**2 - (said**2).sum(-1)))
    return np.where(spread > 0, (hits * n - (true * said).sum(-1)) / np.where(spread > 0, spread, 1), 0.0)


def of_classes(score: Score, labels: Array, answers: Array, classes: int) -> tuple[float, Array]:
    """Returns a score and the values of its examples, whose mean it is; ``answers`` are predicted classes."""
    n = len(labels)
    cells, place = np.unique(labels * classes + answers, return_inverse=True)
    counts = np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes).astype(np.float64)
    whole = float(score(counts))
    without = np.empty(len(cells))
    for start in range(0, len(cells), BLOCK):
        block = cells[start : start + BLOCK]
        fewer = np.repeat(counts[None], len(block), 0)
        fewer[np.arange(len(block)), block // classes, block % classes] -= 1
        without[start : start + BLOCK] = score(fewer)
    return whole, _centred(n * whole - (n - 1) * without[place], whole)


def of_values(kind: str, labels: Array, answers: Array) -> tuple[float, Array] | None:
    """Returns a correlation and the values of its examples; None if the metric is not known here."""
    if kind == "SpearmanCorrCoef":
        ranks = stats.rankdata(labels), stats.rankdata(answers)
        without = _rank_correlations_without(labels, answers)
    elif kind == "PearsonCorrCoef":
        ranks = labels, answers
        without = _correlations_without(labels, answers)
    else:
        return None
    n, whole = len(labels), float(_correlations(*(part[None] for part in ranks))[0])
    return whole, _centred(n * whole - (n - 1) * without, whole)


def _correlations(x: Array, y: Array) -> Array:
    """Returns the correlation of each row of ``(k, n)`` arrays; 0 where it is undefined."""
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    spread = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return np.where(spread > 0, (x * y).sum(1) / np.where(spread > 0, spread, 1.0), 0.0)


def _correlations_without(x: Array, y: Array) -> Array:
    """Returns the correlation without each example; leaving out i takes ``n / (n - 1) x_i y_i`` from the sum."""
    x, y, shrink = x - x.mean(), y - y.mean(), len(x) / (len(x) - 1)
    xy, xx, yy = ((part.sum() - shrink * part) for part in (x * y, x * x, y * y))
    spread = np.sqrt(np.maximum(xx * yy, 0.0))
    return np.where(spread > 0, xy / np.where(spread > 0, spread, 1.0), 0.0)


def _rank_correlations_without(x: Array, y: Array) -> Array:
    """Returns the correlation of ranks without each example, the others ranked again."""
    n, found = len(x), []
    for start in range(0, n, BLOCK):
        rows = np.arange(start, min(start + BLOCK, n))
        keep = np.arange(n) != rows[:, None]
        both = (_ranks_without(part, rows)[keep].reshape(len(rows), n - 1) for part in (x, y))
        found.append(_correlations(*both))
    return np.concatenate(found)


def _ranks_without(x: Array, rows: Array) -> Array:
    """Returns ``(k, n)`` ranks, each row without one of the examples: larger values move down, ties by half."""
    chosen = x[rows, None]
    return stats.rankdata(x)[None] - (x[None] > chosen) - 0.5 * (x[None] == chosen)


def _centred(values: Array, mean: float) -> Array:
    return values - values.mean() + mean
