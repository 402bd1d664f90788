"""Intervals of one run's scores over its report examples. They do not show what another seed would give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.report.inference.binomials import Z95, clopper_pearson
from clsnorm.report.sweeps.example_table import TOLERANCE, Predicted, read_answers, score_of


def score_intervals(
    folder: Path, metrics: Mapping[str, Mapping[str, Any]], scores: Mapping[str, float | None]
) -> dict[str, tuple[float, float]]:
    """Returns the 95 % interval of the loss and of each metric that is known here, over the report examples of a run.

    Of an accuracy it is exact (Clopper and Pearson, 1934). Of other metrics it is ``t +- 1.96 s / sqrt(n)``, with
    ``s`` the standard deviation of the jackknife's pseudo-values of ``t`` (Tukey, 1958), and of the loss that of the
    losses.

    Args:
        folder: Of the run.
        metrics: Their configurations by name, as in ``data.metrics``.
        scores: The stored scores by name; a metric is left out if its predictions do not give this one.
    """
    answers = read_answers(folder)
    if answers is None or len(answers.labels) < 2 or not np.isfinite(answers.values).all():
        return {}
    intervals = {}
    losses = _losses(answers)
    known = {name: score_of(answers, metric) for name, metric in metrics.items()} | {"loss": (losses.mean(), losses)}
    for name, found in known.items():
        stored = scores.get(name)
        if found is None or stored is None or not abs(found[0] - stored) <= TOLERANCE * max(1.0, abs(stored)):
            continue
        score, values = found
        if set(np.unique(values)) <= {0.0, 1.0}:  # right or wrong
            intervals[name] = clopper_pearson(int(values.sum()), len(values))
        else:
            half = Z95 * float(values.std(ddof=1)) / len(values) ** 0.5
            intervals[name] = (score - half, score + half)
    return intervals


def _losses(answers: Predicted) -> np.ndarray:
    if answers.regression:
        return (answers.values - answers.labels) ** 2
    chosen = answers.values[np.arange(len(answers.labels)), answers.labels.astype(int)]
    return -np.log(np.maximum(chosen, np.finfo(np.float64).tiny))
