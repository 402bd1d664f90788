"""When a model counts as failed: one answer to nearly all rows, or a score below the constant prediction's by a margin.

A score on few rows is noisy. ``score <= majority`` alone (`clsnorm.metrics.has_collapsed`) calls a model with a true
accuracy of 0.56 collapsed in 13 % of runs if the majority class has 0.527 of 277 rows; the share of such runs then says
how accurate models are, not how often training fails.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from clsnorm.metrics import alone, largest_share, majority_score

LEVEL = 0.95  # one-sided confidence of the margin
ONE_ANSWER = 0.99  # share of rows with the same answer
SAME = 0.01  # values that differ by less, in standard deviations of the labels, are one answer
GROUPS = 50  # of the jackknife
QUANTILE = NormalDist().inv_cdf(LEVEL)
RULE = f"one answer for {ONE_ANSWER:.0%} of the rows, or a score worse than majority by {QUANTILE:.3f} standard errors"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the predictions on a split say about a model.

    Between ``failed`` and ``above_majority`` is a score within its sampling error of the constant prediction's: too
    few rows to tell.

    Attributes:
        score: The monitored metric.
        majority: That of the constant prediction.
        margin: How far the score may be from ``majority`` by chance: its standard error times the 95 % quantile of the
            normal distribution. NaN if it is undefined.
        answer_share: Share of rows with the most frequent answer.
        mode: Whether larger scores are better (``max``) or smaller ones (``min``).
    """

    score: float
    majority: float
    margin: float
    answer_share: float
    mode: str

    @property
    def _excess(self) -> float:
        return self.score - self.majority if self.mode == "max" else self.majority - self.score

    @property
    def failed(self) -> bool:
        """One answer to at least 99 % of the rows, a score below the majority's by more than the margin, or none."""
        return math.isnan(self.score) or self.answer_share >= ONE_ANSWER or self._excess < -self.margin

    @property
    def above_majority(self) -> bool:
        """Is the score better than the majority's by more than the margin, without one answer to all?"""
        return not self.failed and self._excess > self.margin

    def record(self) -> dict[str, Any]:
        """Returns all values for ``results.json``, with None for those that are not finite."""
        found = asdict(self) | {"above_majority": self.above_majority}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in found.items()}


def judge(
    metric: Metric, values: Tensor, labels: Tensor, *, constant: float, num_outputs: int, regression: bool, mode: str
) -> Outcome:
    """Judges the predictions on the rows of a split.

    Args:
        metric: The monitored metric; unchanged.
        values: Predictions as from `clsnorm.metrics.predictions`, ``(n, C)``, or ``(n,)`` in regression; NaN where a
            model has none.
        labels: Labels, ``(n,)``.
        constant: The constant prediction, see `clsnorm.metrics.majority_score`.
        num_outputs: Number of classes.
        regression: Whether labels are numbers.
        mode: Whether larger scores are better (``max``) or smaller ones (``min``).
    """
    majority = majority_score(metric, labels, constant=constant, num_outputs=num_outputs, regression=regression)
    if not len(labels) or not values.isfinite().all():
        return Outcome(math.nan, majority, math.nan, math.nan, mode)
    metric = alone(metric)
    score = _score(metric, values, labels)
    margin = QUANTILE * _standard_error(metric, score, majority, values, labels, constant, regression=regression)
    share = _share_of_one_value(values, labels) if regression else _share_of_one_class(values)
    return Outcome(score, majority, margin, share, mode)


def _score(metric: Metric, values: Tensor, labels: Tensor) -> float:
    metric.reset()
    with warnings.catch_warnings(action="ignore"):  # about rows of one class, or values without variance
        return float(metric(values, labels))


def _standard_error(
    metric: Metric, score: float, majority: float, values: Tensor, labels: Tensor, constant: float, *, regression: bool
) -> float:
    """Returns the standard error of the score over samples of rows.

    Of a share of correct rows, ``sqrt(m (1 - m) / n)`` for a true share of ``m = majority``: the margin is then that of
    Wilson's interval, whose error rates are near the level for small n, too. Of any other metric, by the jackknife.
    """
    if not regression:
        hits = float((values.argmax(-1) == labels).double().mean())
        base = float((labels == constant).double().mean())
        if math.isclose(score, hits, abs_tol=1e-6) and math.isclose(majority, base, abs_tol=1e-6):
            return math.sqrt(base * (1 - base) / len(labels))
    return jackknife_error(metric, values, labels)


def jackknife_error(metric: Metric, values: Tensor, labels: Tensor) -> float:
    """Returns the standard error of a metric by the delete-a-group jackknife; NaN below two rows.

    ``sqrt((G - 1) / G sum_g (s_g - mean(s))^2)``, ``s_g`` the metric without the rows ``g, g + G, g + 2 G, ...``, and
    ``G`` at most 50 groups. Needs no random numbers (Quenouille, 1949; Shao and Tu, 1995, The Jackknife and Bootstrap).
    """
    groups, metric = min(len(labels), GROUPS), alone(metric)
    if groups < 2:
        return math.nan
    group = torch.arange(len(labels)) % groups
    left = [_score(metric, values[group != g], labels[group != g]) for g in range(groups)]
    scores = torch.tensor(left, dtype=torch.float64)
    return float(((groups - 1) * scores.var(correction=0)).sqrt())


def _share_of_one_class(values: Tensor) -> float:
    return largest_share(torch.bincount(values.argmax(-1)).double(), undefined=0)


def _share_of_one_value(values: Tensor, labels: Tensor) -> float:
    """Returns the share of predictions that are the median one, up to 1 % of the labels' standard deviation."""
    width = SAME * labels.double().std(correction=0)
    return float(((values.double() - values.double().median()).abs() <= width).double().mean())
