"""The numbers of a report as plain values: each output shows these, rounded, and no others."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.report.answers import Answer, Conclusions, undecided_text
from clsnorm.report.claims import PaperClaim, paper_claims
from clsnorm.report.comparisons import POINTS, Comparison, score
from clsnorm.report.estimates.budget_curves import curve_lines, expected_best, profile_lines
from clsnorm.report.estimates.class_scores_of_arms import class_lines, class_tables, confusion_lines
from clsnorm.report.estimates.predictors import predictor_lines
from clsnorm.report.estimates.seed_shares import variance_lines
from clsnorm.report.estimates.summary_lines import overall_lines, prediction_lines
from clsnorm.report.inference.binomials import clopper_pearson
from clsnorm.report.sweeps.arm_names import rates
from clsnorm.report.sweeps.pooling import by_task, recurring
from clsnorm.report.sweeps.run_row import LR, RunRow
from clsnorm.run_folder.results import without_nan

BEST = (1, 5, 10)  # k of the expected best of k runs


def collected(found: Conclusions, base: Path | None = None, *, linked: bool = True) -> dict[str, Any]:
    """Returns all facts, ready for JSON: NaN is None.

    Args:
        found: The report.
        base: Folder from which the runs' folders are named, so that a report can be moved with its runs.
        linked: Whether the page links to these folders; if not, their last names are kept alone.
    """

    def place(row: RunRow) -> str:
        if not linked:
            return row.path.name
        return str(row.path) if base is None else os.path.relpath(row.path, base)

    margin, claims, tables = found.options.margin, paper_claims(found), class_tables(found.tuned())
    return without_nan(
        {
            "baseline": found.options.baseline,
            "margin": margin,
            "linked": linked,
            "family": [[one.arm, one.task or "over all data sets"] for one in found.family],
            "states": found.states(),
            "notes": found.notes,
            "unfinished": [
                {"run": place(row), "state": row.state, "reason": row.reason} for row in found.rows if not row.finished
            ],
            "setup": [_setup(task, rows) for task, rows in _finished(found).items()],
            "claims": [_claim(one) for one in claims],
            "evidence": [
                evidence.line(one.number) | {"runs": [place(run) for run in evidence.runs]}
                for one in claims
                for evidence in one.evidence
            ],
            "verdicts": [_verdict(one, found, place) for one in found.family],
            "equal_rates": [_other(one) for one in found.others],
            "overall": overall_lines(found.tuned(), found.options.baseline),
            "predictors": predictor_lines(found),
            "variance": variance_lines(found.tuned()),
            "curves": curve_lines(found.by_arm()),
            "profile": profile_lines(found.tuned()),
            "classes": class_lines(tables, found.options.baseline),
            "confusion": confusion_lines(tables),
            "predictions": prediction_lines(found.tuned()),
            "arms": [line for task, rows in _finished(found).items() for line in arm_lines(task, rows)],
        }
    )


def _claim(one: PaperClaim) -> dict[str, Any]:
    found = {"claim": one.number, "text": one.claim, "support": str(one.support), "sentence": one.sentence}
    return found | {"evidence": len(one.evidence)}


def _finished(found: Conclusions) -> dict[str, list[RunRow]]:
    return by_task(row for row in found.rows if row.finished)


def _setup(task: str, rows: list[RunRow]) -> dict[str, Any]:
    """Returns what was run on a data set; where runs differ, all values."""

    def sizes(row: RunRow) -> dict[str, int]:
        found = json.loads(row.source.get("rows") or "{}")
        return found if isinstance(found, dict) else {}

    def several(value: Callable[[RunRow], Any]) -> str:
        return ", ".join(map(str, sorted({value(row) for row in rows}, key=lambda one: (str(type(one)), one))))

    return {
        "task": task,
        "model": several(lambda row: row.choice("model")),
        "metric": several(lambda row: row.results["monitor"]),
        "train_examples": several(lambda row: row.results.get("train_examples", "–")),
        "steps": several(lambda row: row.results.get("steps", "–")),
        "report_examples": several(lambda row: sizes(row).get("report", "–")),
        "seeds": len({row.seeds for row in rows}),
        "rates": ", ".join(f"{lr:g}" for lr in rates(rows)),
    }


def _verdict(one: Answer, found: Conclusions, place: Callable[[RunRow], str]) -> dict[str, Any]:
    (low, high), margin, family = one.interval(), found.options.margin, len(found.family)
    line: dict[str, Any] = {
        "task": one.task,
        "arm": one.arm,
        "verdict": str(one.verdict),
        "difference": one.mean,
        "low": low,
        "high": high,
        "p": one.raw_p[0],
        "p_adjusted": one.difference_p,
        "p_equivalence": one.raw_p[1],
        "p_equivalence_adjusted": one.equivalence_p,
        "p_max_t": one.max_t_p,
        "open": undecided_text(one, margin, family) if one.verdict == "undecided" else "",
    }
    if one.over is not None:
        line |= {"sets": one.over.sets, "sd_between_sets": one.over.between}
        line |= {"standard_error": one.over.standard_error, "standard_error_of_these": one.over.standard_error_of_these}
    elif one.comparison is not None:
        line |= _details(one.comparison, found.options.draws)
        line["runs"] = [[place(run) for run in pair] for pair in one.comparison.runs]
    return line


def _details(one: Comparison, draws: int) -> dict[str, Any]:
    arm, baseline = one.scores()
    low, high = one.bootstrap_interval(draws=draws) if draws else (math.nan, math.nan)
    median, median_low, median_high = one.medians()
    failure_p, failure = one.failure_test()
    line = {
        "seeds": len(one.seeds),
        "examples": one.differences.shape[1],
        "lr": one.lr,
        "baseline_lr": one.baseline_lr,
        "arm_score": _mean(arm),
        "baseline_score": _mean(baseline),
        "p_sign_flips": one.flip_p(),
        "bootstrap_low": low,
        "bootstrap_high": high,
        "median_difference": median,
        "median_low": median_low,
        "median_high": median_high,
        "p_spread": one.spread_p(),
        "failure_difference": float(np.subtract(*one.failed.mean(0))) if len(one.seeds) else math.nan,
        "failure_low": failure[0],
        "failure_high": failure[1],
        "p_failure": failure_p,
    }
    if one.analysis is not None:
        parts = one.analysis.components()
        line |= {f"variance_{name}": float(value) for name, value in parts.items()}
    kept = one.without_failed()
    if kept is not None and one.failed.any():
        ends = kept.interval()
        line |= {"without_failed": float(kept.mean), "without_failed_low": float(ends[0])}
        line |= {"without_failed_high": float(ends[1]), "without_failed_seeds": kept.seeds}
    return line


def _other(one: Comparison) -> dict[str, Any]:
    low = high = p = math.nan
    if one.analysis is not None and not one.untested:
        (low, high), p = map(float, one.analysis.interval()), float(one.analysis.p_value())
    return {
        "task": one.task,
        "arm": one.arm,
        "protocol": one.protocol,
        "seeds": len(one.seeds),
        "difference": one.mean,
        "low": low,
        "high": high,
        "p": p,
    }


def arm_lines(task: str, rows: list[RunRow]) -> list[dict[str, Any]]:
    """Returns a line for each arm and learning rate: scores over seeds, failures, cost."""
    lines = []
    for arm, lr in sorted({(row.arm, row.lr) for row in rows}):
        mine = [row for row in rows if (row.arm, row.lr) == (arm, lr)]
        scores = np.array([score(row) for row in mine])
        failed = sum(row.failed for row in mine)
        low, high = failure_interval(mine)
        line: dict[str, Any] = {"task": task, "arm": arm, LR: lr, "runs": len(mine), "failed": failed}
        line |= {"failure_low": low, "failure_high": high, "mean": _mean(scores)}
        line |= {"sd": float(scores.std(ddof=1)) if len(scores) > 1 else math.nan, "median": float(np.median(scores))}
        line |= {"least": float(scores.min()), "best": float(scores.max())}
        line |= {f"best_of_{k}": expected_best(scores, k) for k in BEST if k <= len(scores)}
        line |= {"select": POINTS * _mean(np.array([row.select_score for row in mine]))}
        costs = {"seconds": "seconds", "peak_memory_mb": "peak_memory_mb", "speed": "examples_per_second"}
        line |= {name: _mean(_numbers(mine, key)) for name, key in costs.items()}
        lines.append(line)
    return lines


def failure_interval(rows: list[RunRow]) -> tuple[float, float]:
    """Returns the exact interval of the failure rate; NaN if runs share seeds of a stream: they are not independent."""
    if recurring(row.seeds for row in rows):
        return math.nan, math.nan
    return clopper_pearson(sum(row.failed for row in rows), len(rows))


def _numbers(rows: list[RunRow], key: str) -> np.ndarray:
    return np.array([float(row.results[key]) for row in rows if isinstance(row.results.get(key), int | float)])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
