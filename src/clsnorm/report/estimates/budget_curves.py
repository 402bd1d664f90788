"""What to expect of a budget of k runs, and how often arms reach a score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clsnorm.report.comparisons import POINTS, score
from clsnorm.report.estimates.over_tasks import performance_profile
from clsnorm.report.sweeps.run_row import RunRow

Array = np.ndarray
Runs = Mapping[tuple[str, str], Sequence[RunRow]]  # by data set and arm
THRESHOLDS = 101


def expected_best(scores: Array, k: int) -> float:
    """Returns the expected best of ``k`` runs drawn without replacement (Dodge et al., 2019; Tang et al., 2020).

    Unbiased: ``sum_i C(i - 1, k - 1) / C(n, k) s_(i)`` over the sorted scores.

    Example:
        >>> expected_best(np.array([1.0, 2.0, 3.0]), 3)
        3.0
    """
    return expected_of_chosen(scores, scores, k)


def expected_of_chosen(choosing: Array, scores: Array, k: int) -> float:
    """Returns the expected score of the run that is best by ``choosing`` among ``k`` drawn without replacement.

    This is what a reader who has k runs gets: the run is chosen on select and scored on report. Of runs that are
    equally good on select each is as likely, so these count with their mean.

    Example:
        >>> expected_of_chosen(np.array([1.0, 2.0]), np.array([5.0, 3.0]), 2)
        3.0
    """
    n = len(scores)
    order = np.argsort(choosing, kind="stable")
    _, group = np.unique(choosing[order], return_inverse=True)
    means = (np.bincount(group, scores[order]) / np.bincount(group))[group]
    weights = np.array([math.comb(i, k - 1) / math.comb(n, k) for i in range(n)])
    return float(means @ weights)


def curve_lines(runs: Runs) -> list[dict[str, Any]]:
    """Returns a line for each data set, arm and budget of k runs, of all learning rates; scores in points.

    The runs of an arm count as draws from its grid: equal budgets compare arms whatever their number of rates. A run
    without a score on select is never chosen before others.
    """
    lines = []
    for (task, arm), rows in runs.items():
        sign = -1.0 if rows[0].mode == "min" else 1.0
        scores = sign * np.array([score(row) for row in rows])
        select = sign * np.array([row.select_score for row in rows]) * POINTS
        select = np.where(np.isnan(select), -math.inf, select)
        for k in range(1, len(rows) + 1):
            line: dict[str, Any] = {"task": task, "arm": arm, "runs": len(rows), "k": k}
            line |= {"chosen_on_select": sign * expected_of_chosen(select, scores, k)}
            lines.append(line | {"best_on_report": sign * expected_best(scores, k)})
    return lines


def profile_lines(runs: Runs) -> list[dict[str, Any]]:
    """Returns the performance profile of each arm: the share of its runs above a score, mean over data sets.

    Scores are at tuned rates, in points. Arms without runs on all data sets are left out, and so is everything if a
    metric is better when smaller.
    """
    tasks = sorted({task for task, _ in runs})
    if any(row.mode == "min" for rows in runs.values() for row in rows):
        return []
    arms = [arm for arm in sorted({arm for _, arm in runs}) if all((task, arm) in runs for task in tasks)]
    scores = {arm: [np.array([score(row) for row in runs[task, arm]]) for task in tasks] for arm in arms}
    every = [value for found in scores.values() for one in found for value in one if math.isfinite(value)]
    if not every:
        return []
    thresholds = np.linspace(min(every), max(every), THRESHOLDS)
    lines = []
    for arm, found in scores.items():
        shares = np.mean([performance_profile(one, thresholds) for one in found], axis=0)
        lines += [
            {"arm": arm, "above": float(place), "share": float(share)}
            for place, share in zip(thresholds, shares, strict=True)
        ]
    return lines
