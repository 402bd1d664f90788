"""Intervals over report examples: exact ones of scipy, and the spread of bootstrap samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics

from clsnorm.files import replacing
from clsnorm.report.estimates.score_intervals import score_intervals

ACCURACY = {"_target_": "torchmetrics.classification.MulticlassAccuracy", "average": "micro"}
F1 = {"_target_": "torchmetrics.classification.MulticlassF1Score", "average": "macro"}
PEARSON = {"_target_": "torchmetrics.PearsonCorrCoef"}
ROWS = 400


def write(folder: Path, columns: dict[str, Any]) -> Path:
    frame = pd.DataFrame({"part": "report", "example_id": np.arange(ROWS), **columns})
    with replacing(folder / "predictions.parquet") as draft:
        frame.to_parquet(draft, index=False)
    return folder


def test_intervals_of_classes(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    values = draw.dirichlet(np.ones(3), ROWS)
    said = values.argmax(1)
    labels = np.where(draw.random(ROWS) < 0.7, said, draw.integers(0, 3, ROWS))
    folder = write(tmp_path, {"label": labels, **{f"p{k}": values[:, k] for k in range(3)}})
    scores = {"accuracy": metrics.accuracy_score(labels, said), "f1": metrics.f1_score(labels, said, average="macro")}
    found = score_intervals(folder, {"accuracy": ACCURACY, "f1": F1}, scores)
    exact = stats.binomtest(int((said == labels).sum()), ROWS).proportion_ci(method="exact")
    assert found["accuracy"] == pytest.approx((exact.low, exact.high))
    losses = -np.log(values[np.arange(ROWS), labels])
    half = stats.norm.ppf(0.975) * stats.sem(losses)
    assert score_intervals(folder, {}, {"loss": losses.mean()})["loss"] == pytest.approx(
        (losses.mean() - half, losses.mean() + half)
    )
    samples = [draw.integers(0, ROWS, ROWS) for _ in range(2000)]
    spread = np.std([metrics.f1_score(labels[rows], said[rows], average="macro") for rows in samples])
    low, high = found["f1"]
    assert (low + high) / 2 == pytest.approx(scores["f1"])
    assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.06)


def test_intervals_of_a_correlation(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.normal(size=ROWS)
    values = labels + draw.normal(size=ROWS)
    folder = write(tmp_path, {"label": labels, "value": values})
    r = float(np.corrcoef(labels, values)[0, 1])
    low, high = score_intervals(folder, {"pearson": PEARSON}, {"pearson": r})["pearson"]
    fisher = stats.pearsonr(labels, values).confidence_interval()
    assert (low, high) == pytest.approx((fisher.low, fisher.high), abs=0.02)


def test_a_score_that_predictions_do_not_give_has_none(tmp_path: Path) -> None:
    labels = np.arange(ROWS) % 2
    folder = write(tmp_path, {"label": labels, "p0": 1.0 - labels, "p1": labels})
    assert score_intervals(folder, {"accuracy": ACCURACY}, {"accuracy": 0.9}) == {}
    assert score_intervals(folder, {"accuracy": ACCURACY}, {"accuracy": None}) == {}
    assert score_intervals(folder, {"accuracy": {"_target_": "a.Custom"}}, {"accuracy": 1.0}) == {}
    assert score_intervals(folder, {"accuracy": ACCURACY}, {"accuracy": 1.0})["accuracy"][1] == 1.0
    assert score_intervals(tmp_path / "none", {"accuracy": ACCURACY}, {"accuracy": 1.0}) == {}
