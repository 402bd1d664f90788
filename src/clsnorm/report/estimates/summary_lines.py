"""The descriptive tables: summaries over data sets, agreement of seeds, calibration of predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clsnorm.report.comparisons import score
from clsnorm.report.estimates.agreement import brier, calibration_error, fleiss_kappa, flips, jensen_shannon
from clsnorm.report.estimates.over_tasks import improvement_probability, interquartile_mean, mean_ranks
from clsnorm.report.sweeps.example_table import class_answers
from clsnorm.report.sweeps.run_row import RunRow

Runs = Mapping[tuple[str, str], Sequence[RunRow]]  # by data set and arm


def overall_lines(runs: Runs, baseline: str) -> list[dict[str, Any]]:
    """Returns a line for each arm that has runs on all data sets; larger scores are taken for better.

    None if a metric is better when smaller: points of such a one do not mix with others.
    """
    tasks = sorted({task for task, _ in runs})
    if any(row.mode == "min" for rows in runs.values() for row in rows):
        return []
    arms = [arm for arm in sorted({arm for _, arm in runs}) if all((task, arm) in runs for task in tasks)]
    scores = {arm: [np.array([score(row) for row in runs[task, arm]]) for task in tasks] for arm in arms}
    if baseline not in scores:
        return []
    ranks = mean_ranks({arm: np.array([one.mean() for one in scores[arm]]) for arm in arms})
    if len(tasks) == 1:  # no set can be left out
        ranks = {arm: (rank, math.nan, math.nan) for arm, (rank, _, _) in ranks.items()}
    return [
        {
            "arm": arm,
            "iqm": float(np.mean([interquartile_mean(one) for one in scores[arm]])),
            "improvement": improvement_probability(scores[arm], scores[baseline]) if arm != baseline else math.nan,
            **dict(zip(("rank", "rank_low", "rank_high"), ranks[arm], strict=True)),
        }
        for arm in arms
    ]


def prediction_lines(runs: Runs) -> list[dict[str, Any]]:
    """Returns a line for each data set and arm of classification; runs without a finite prediction are left out."""
    lines = []
    for (task, arm), rows in runs.items():
        whole = [found for found in class_answers(rows) if np.isfinite(found.values).all()]
        if not whole:
            continue
        probabilities = np.stack([found.values for found in whole])
        labels, answers = whole[0].labels.astype(int), probabilities.argmax(-1)
        several = len(whole) > 1
        line: dict[str, Any] = {"task": task, "arm": arm, "seeds": len(whole)}
        line |= {"flips": flips(answers) if several else math.nan, "kappa": fleiss_kappa(answers) if several else None}
        line |= {"jensen_shannon": jensen_shannon(probabilities) if several else math.nan}
        line |= {"calibration_error": float(np.mean([calibration_error(labels, one) for one in probabilities]))}
        line |= {"brier": float(np.mean([brier(labels, one) for one in probabilities]))}
        lines.append(line)
    return lines
