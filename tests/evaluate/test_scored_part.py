"""Scores of a split and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.regression import PearsonCorrCoef

from clsnorm.evaluate.scored_part import bootstrap_interval, score_part
from clsnorm.metrics import ClassF1, predictions

DRAWS = torch.Generator().manual_seed(0)
LABELS = torch.randint(0, 3, (400,), generator=DRAWS)
LOGITS = torch.randn(400, 3, generator=DRAWS) + 2 * torch.eye(3)[LABELS]
METRICS = {
    "accuracy": MulticlassAccuracy(num_classes=3, average="micro"),
    "f1": ClassF1(num_classes=3, class_index=2),
}


def test_scores_are_those_of_all_rows() -> None:
    found = score_part(LOGITS, LOGITS.softmax(1), LABELS, METRICS, resamples=100, seed=0)
    right = (LOGITS.argmax(1) == LABELS).double().mean().item()
    assert found["scores"]["accuracy"]["value"] == pytest.approx(right, abs=1e-7)
    assert found["right"]["share"] == right
    exact = stats.binomtest(found["right"]["count"], 400).proportion_ci(0.95, method="exact")
    assert (found["right"]["low"], found["right"]["high"]) == pytest.approx((exact.low, exact.high))
    losses = torch.nn.functional.cross_entropy(LOGITS, LABELS, reduction="none").double().numpy()
    assert found["scores"]["loss"]["value"] == pytest.approx(losses.mean(), rel=1e-6)
    assert found["scores"]["loss"]["high"] - losses.mean() == pytest.approx(1.96 * stats.sem(losses), rel=1e-5)
    assert found["unanswered"] == 0


def test_the_interval_of_accuracy_is_that_of_scipy_s_bootstrap() -> None:
    right = (LOGITS.argmax(1) == LABELS).numpy().astype(float)
    expected = stats.bootstrap(
        (right,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    found = bootstrap_interval(METRICS["accuracy"], LOGITS.softmax(1), LABELS, resamples=2000, seed=0)
    assert found == pytest.approx((expected.low, expected.high), abs=0.004)


def test_the_same_seed_gives_the_same_interval() -> None:
    draw = [bootstrap_interval(METRICS["f1"], LOGITS.softmax(1), LABELS, resamples=100, seed=s) for s in (0, 0, 1)]
    assert draw[0] == draw[1] != draw[2]


def test_the_interval_covers_the_true_score() -> None:
    draws, truth, covered = torch.Generator().manual_seed(1), 0.8, 0
    metric = MulticlassAccuracy(num_classes=2, average="micro")
    for _ in range(60):
        right = torch.rand(200, generator=draws) < truth
        low, high = bootstrap_interval(
            metric, torch.eye(2)[right.long()], torch.ones(200).long(), resamples=200, seed=0
        )
        covered += low <= truth <= high
    assert covered >= 51, "95 % of 60 are 57; 51 has a chance of 1 in 200"


def test_rows_without_an_answer_leave_no_score() -> None:
    broken = LOGITS.clone()
    broken[5] = torch.inf
    found = score_part(broken, predictions(broken, regression=False), LABELS, METRICS, resamples=100, seed=0)
    assert found["unanswered"] == 1
    assert all(math.isnan(score["value"]) and "low" not in score for score in found["scores"].values())
    assert "right" not in found


def test_numbers_have_no_right_answers() -> None:
    target = torch.randn(50, generator=DRAWS)
    logits = (target + torch.randn(50, generator=DRAWS))[:, None]
    metrics = {"pearson": PearsonCorrCoef()}
    found = score_part(logits, logits[:, 0], target, metrics, resamples=200, seed=0)
    assert "right" not in found
    expected = stats.pearsonr(logits[:, 0].numpy(), target.numpy()).statistic
    score = found["scores"]["pearson"]
    assert score["value"] == pytest.approx(expected, abs=1e-5)
    assert score["low"] < expected < score["high"]
    constant = bootstrap_interval(metrics["pearson"], logits[:, 0], torch.ones(50), resamples=5, seed=0)
    assert all(map(math.isnan, constant))
