"""Do the bias of [CLS] before training, or early gradients at h, go along with gains, failures and scores?

Correlations: they show no cause, and are outside the family.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clsnorm.report.answers import Conclusions
from clsnorm.report.claims.exploding_gradients import EARLY
from clsnorm.report.comparisons import score
from clsnorm.report.inference.rank_correlation import LEAST as LEAST_POINTS
from clsnorm.report.inference.rank_correlation import RankCorrelation, of_points, within_groups
from clsnorm.report.sweeps.pooling import by_task, recurring, without_copies
from clsnorm.report.sweeps.recorded import start_number
from clsnorm.report.sweeps.run_row import RunRow

BIAS = {"share of the mean": "centred_share", "share of the 5 largest dimensions": "top_energy_share"}
GRADIENT = "early gradient at h"
LEAST = 3  # failed runs, and runs that did not fail, below which there is no correlation with failures
Numbers = dict[str, dict[str, float]]  # by predictor and data set


def predictor_lines(found: Conclusions) -> list[dict[str, Any]]:
    """Returns a line for each predictor and outcome, over data sets and over runs."""
    rows = without_copies(row for row in found.rows if row.finished)
    base = by_task(row for row in rows if row.arm == found.options.baseline)
    predictors = {name: {task: _first(mine, key) for task, mine in base.items()} for name, key in BIAS.items()}
    predictors[GRADIENT] = {task: _mean(row.metric(EARLY) for row in mine) for task, mine in base.items()}
    return [*_over_sets(found, predictors, base), *_over_runs(rows)]


def _first(rows: Sequence[RunRow], key: str) -> float:
    """Returns a number before training, which all runs share, of the first run that recorded it."""
    return next((value for row in rows if math.isfinite(value := start_number(row, key))), math.nan)


def _mean(values: Any) -> float:
    kept = [value for value in values if math.isfinite(value)]
    return float(np.mean(kept)) if kept else math.nan


def _over_sets(found: Conclusions, predictors: Numbers, base: dict[str, list[RunRow]]) -> list[dict[str, Any]]:
    outcomes: dict[tuple[str, str], dict[str, float]] = {}
    for one in found.family:
        if one.task:
            outcomes.setdefault(("gain", one.arm), {})[one.task] = one.mean
    failed = {task: float(np.mean([row.failed for row in mine])) for task, mine in base.items()}
    if len(set(failed.values())) > 1:
        outcomes["failure rate", found.options.baseline] = failed
    lines = []
    for (outcome, arm), by_set in outcomes.items():
        for name, values in predictors.items():
            tasks = [task for task in by_set if math.isfinite(values.get(task, math.nan))]
            if len(tasks) >= LEAST_POINTS:
                pair = (np.array([numbers[task] for task in tasks]) for numbers in (values, by_set))
                lines.append(_line("data sets", name, outcome, arm, of_points(*pair)))
    return lines


def _over_runs(rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    known = [row for row in rows if math.isfinite(row.metric(EARLY))]
    early = np.array([row.metric(EARLY) for row in known])
    groups, seeds = [(row.task, row.arm, row.lr) for row in known], [row.seeds for row in known]
    failed = np.array([row.failed for row in known], dtype=float)
    lines = []
    if recurring(seeds):  # runs that share seeds of a stream are not independent
        return []
    if len(known) > 1:
        signs = [-1.0 if row.mode == "min" else 1.0 for row in known]
        scores = np.array([sign * score(row) for sign, row in zip(signs, known, strict=True)])
        lines.append(_line("runs", GRADIENT, "score", "all", within_groups(early, scores, groups, seeds)))
    if min(failed.sum(), (1 - failed).sum()) >= LEAST:
        lines.append(_line("runs", GRADIENT, "failure", "all", within_groups(early, failed, groups, seeds)))
    return lines


def _line(over: str, predictor: str, outcome: str, arm: str, found: RankCorrelation) -> dict[str, Any]:
    line: dict[str, Any] = {"over": over, "predictor": predictor, "outcome": outcome, "arm": arm}
    line |= {"points": found.points, "units": found.units, "rank_correlation": found.rho}
    return line | {"low": found.low, "high": found.high, "p": found.p}
