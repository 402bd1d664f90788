"""The scores of one split: each with an interval over its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from clsnorm.losses import example_losses
from clsnorm.metrics import alone
from clsnorm.model.scores import Scores
from clsnorm.report.inference.binomials import clopper_pearson

LEVEL = 0.95


def score_part(
    logits: Tensor, values: Tensor, labels: Tensor, metrics: Mapping[str, Metric], *, resamples: int, seed: int
) -> dict[str, Any]:
    """Returns the scores of a split as plain values.

    ``scores`` holds each metric, and the mean ``loss``: ``value``, and ``low`` and ``high``, the 2.5 % and 97.5 %
    quantiles over bootstrap samples of the rows (for the loss: 1.96 standard errors). With classes, ``right`` is the
    number of right answers, and its share's exact binomial interval (Clopper and Pearson). ``unanswered`` counts rows
    whose logits are not finite; with one of them there are no scores.

    An interval is over rows alone: another seed of the run would give another score, which it does not show.

    Args:
        logits: ``(n, K)``; ``(n, 1)`` in regression.
        values: What metrics take: probabilities, ``(n, K)``, or values, ``(n,)``.
        labels: Class ids or true values, ``(n,)``.
        metrics: By name.
        resamples: Number of bootstrap samples.
        seed: Of their draw.
    """
    regression = values.ndim == 1
    losses = example_losses(logits, labels, regression=regression)
    scores = Scores(metrics)
    scores.update(torch.arange(len(labels)), values, labels, losses)
    found = {name: {"value": value} for name, value in scores.compute().items()}
    unanswered = int((~values.reshape(len(values), -1).isfinite().all(1)).sum())
    record: dict[str, Any] = {"rows": len(labels), "unanswered": unanswered, "scores": found}
    if unanswered or not len(labels):
        return record
    half = 1.96 * losses.double().std().item() / math.sqrt(len(losses)) if len(losses) > 1 else math.nan
    found["loss"] |= {"low": found["loss"]["value"] - half, "high": found["loss"]["value"] + half}
    for name, metric in metrics.items():
        low, high = bootstrap_interval(metric, values, labels, resamples=resamples, seed=seed)
        found[name] |= {"low": low, "high": high}
    if not regression:
        right = int((values.argmax(1) == labels).sum())
        low, high = clopper_pearson(right, len(labels), LEVEL)
        record["right"] = {"count": right, "share": right / len(labels), "low": low, "high": high}
    return record


def bootstrap_interval(
    metric: Metric, values: Tensor, labels: Tensor, *, resamples: int, seed: int
) -> tuple[float, float]:
    """Returns the 2.5 % and 97.5 % quantiles of a metric over samples of the rows with replacement.

    Samples without a value, such as a correlation with equal labels, are left out; NaN if there is no other.
    """
    draws, copy = np.random.default_rng(seed), alone(metric)
    found = []
    for _ in range(resamples):
        rows = torch.from_numpy(draws.integers(len(labels), size=len(labels)))
        found.append(float(copy(values[rows], labels[rows])))
        copy.reset()
    defined = [value for value in found if math.isfinite(value)]
    if not defined:
        return math.nan, math.nan
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return float(low), float(high)
