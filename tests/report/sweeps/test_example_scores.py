"""Scores against scikit-learn and torchmetrics, and their examples' values against leaving each example out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics
from scipy import stats
from sklearn import metrics

from clsnorm.metrics import ClassF1, Matthews, MeanClassF1
from clsnorm.report.sweeps import example_scores

CLASSES = 4
random = np.random.default_rng(0)
LABELS = random.integers(0, CLASSES, 90)
ANSWERS = np.where(random.uniform(size=90) < 0.6, LABELS, random.integers(0, CLASSES, 90))
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "accuracy": (
        {"_target_": "torchmetrics.classification.MulticlassAccuracy", "average": "micro"},
        metrics.accuracy_score,
    ),
    "recall": ({"_target_": "torchmetrics.classification.MulticlassRecall"}, metrics.balanced_accuracy_score),
    "f1": (
        {"_target_": "torchmetrics.classification.MulticlassF1Score", "average": "macro"},
        lambda t, a: metrics.f1_score(t, a, average="macro"),
    ),
    "class": (
        {"_target_": "clsnorm.metrics.ClassF1", "class_index": 2},
        lambda t, a: metrics.f1_score(t, a, average=None)[2],
    ),
    "classes": (
        {"_target_": "clsnorm.metrics.MeanClassF1", "class_indices": [0, 3]},
        lambda t, a: metrics.f1_score(t, a, average=None)[[0, 3]].mean(),
    ),
    "matthews": ({"_target_": "clsnorm.metrics.Matthews"}, metrics.matthews_corrcoef),
}


@pytest.mark.parametrize("name", CASES)
def test_the_score_is_that_of_scikit_learn_and_its_examples_are_the_jackknifes(name: str) -> None:
    spec, reference = CASES[name]
    score = example_scores.class_scores(spec)
    assert score is not None
    whole, values = example_scores.of_classes(score, LABELS, ANSWERS, CLASSES)
    assert whole == pytest.approx(reference(LABELS, ANSWERS))
    n, keep = len(LABELS), ~np.eye(len(LABELS), dtype=bool)
    expected = np.array([n * whole - (n - 1) * reference(LABELS[rest], ANSWERS[rest]) for rest in keep])
    np.testing.assert_allclose(values, expected - expected.mean() + whole, atol=1e-9)


def test_the_values_of_accuracy_are_right_and_wrong() -> None:
    score = example_scores.class_scores(CASES["accuracy"][0])
    assert score is not None
    _, values = example_scores.of_classes(score, LABELS, ANSWERS, CLASSES)
    np.testing.assert_allclose(values, LABELS == ANSWERS, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "reference"), [("PearsonCorrCoef", stats.pearsonr), ("SpearmanCorrCoef", stats.spearmanr)]
)
def test_correlations(kind: str, reference: Any) -> None:
    x = np.random.default_rng(1).normal(size=60).round(1)  # with ties
    y = x + np.random.default_rng(2).normal(size=60)
    found = example_scores.of_values(kind, x, y)
    assert found is not None
    whole, values = found
    assert whole == pytest.approx(reference(x, y).statistic)
    leave = [60 * whole - 59 * reference(np.delete(x, i), np.delete(y, i)).statistic for i in range(60)]
    expected = np.array(leave) - np.mean(leave) + whole
    np.testing.assert_allclose(values, expected, atol=1e-9)


def test_they_are_the_metrics_of_a_run() -> None:
    fed = torch.eye(CLASSES)[ANSWERS], torch.from_numpy(LABELS)
    built: dict[str, torchmetrics.Metric] = {
        "f1": torchmetrics.classification.MulticlassF1Score(CLASSES, average="macro"),
        "recall": torchmetrics.classification.MulticlassRecall(CLASSES, average="macro"),
        "class": ClassF1(CLASSES, class_index=2),
        "classes": MeanClassF1(CLASSES, class_indices=[0, 3]),
        "matthews": Matthews(CLASSES),
    }
    for name, metric in built.items():
        score = example_scores.class_scores(CASES[name][0])
        assert score is not None
        whole, _ = example_scores.of_classes(score, LABELS, ANSWERS, CLASSES)
        assert whole == pytest.approx(float(metric(*fed)), abs=1e-6), name


def test_an_unknown_metric_has_no_examples() -> None:
    assert example_scores.class_scores({"_target_": "my.Metric"}) is None
    assert example_scores.of_values("MyMetric", LABELS, ANSWERS) is None
