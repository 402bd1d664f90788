from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, matthews_corrcoef
from torchmetrics import MeanAbsoluteError, MeanSquaredError, PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import MulticlassAccuracy

from clsnorm.errors import InputError
from clsnorm.metrics import (
    ClassF1,
    Matthews,
    MeanClassF1,
    build_metrics,
    has_collapsed,
    largest_share,
    majority_score,
    predictions,
)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_class_f1_equals_that_of_scikit_learn(index: int) -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(200, 3, generator=generator).softmax(1)
    labels = torch.randint(0, 3, (200,), generator=generator)
    metric = ClassF1(3, class_index=index)
    for part in range(0, 200, 64):
        metric.update(probabilities[part : part + 64], labels[part : part + 64])
    expected = f1_score(labels, probabilities.argmax(1), labels=[index], average=None)[0]
    assert metric.compute().item() == pytest.approx(expected)


def test_class_f1_without_the_class_is_zero() -> None:
    metric = ClassF1(2)
    metric.update(torch.eye(2)[[0, 0]], torch.tensor([0, 0]))
    assert metric.compute() == 0


def test_class_index_must_be_a_class() -> None:
    with pytest.raises(
        InputError, match=r"`class_index` to be a whole number from 0 to 1, but got 2\. There are 2 classes"
    ):
        ClassF1(2, class_index=2)


def test_mean_class_f1_equals_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.rand(200, 4, generator=generator).softmax(1)
    labels = torch.randint(0, 4, (200,), generator=generator)
    metric = MeanClassF1(4, class_indices=[3, 1])
    for part in range(0, 200, 64):
        metric.update(probabilities[part : part + 64], labels[part : part + 64])
    expected = f1_score(labels, probabilities.argmax(1), labels=[1, 3], average="macro")
    assert metric.compute().item() == pytest.approx(expected)


@pytest.mark.parametrize("indices", [[], [1, 1], [0, 3], [-1]])
def test_class_indices_must_be_classes_once_each(indices: list[int]) -> None:
    with pytest.raises(InputError, match=r"Expected argument `class_indices`"):
        MeanClassF1(3, class_indices=indices)


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (partial(MulticlassAccuracy, foo=1), "foo"),
        (partial(MulticlassAccuracy, average="none"), "one number"),
        (partial(MeanSquaredError), "num_classes"),
        (PearsonCorrCoef(), "one number"),
        (3, "not callable"),
    ],
)
def test_a_metric_that_cannot_score_classes_is_refused_by_name(metric: Any, reason: str) -> None:
    with pytest.raises(InputError, match=rf"`data\.metrics\.mine` to be a metric of probabilities.*{reason}"):
        build_metrics({"mine": metric}, num_outputs=3, regression=False)


def test_trying_a_metric_does_not_change_it() -> None:
    built = build_metrics({"r": PearsonCorrCoef()}, num_outputs=1, regression=True)
    assert built["r"].update_count == 0
    assert build_metrics({"f": partial(ClassF1, class_index=1)}, num_outputs=2, regression=False)["f"].num_classes == 2
    with pytest.raises(InputError, match="`class_index`"):
        build_metrics({"f": partial(ClassF1, class_index=2)}, num_outputs=2, regression=False)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("constant", ["neither", "predictions", "labels"])
def test_matthews_equals_that_of_scikit_learn(classes: int, constant: str) -> None:
    generator = torch.Generator().manual_seed(2)
    predictions, labels = torch.randint(0, classes, (2, 101), generator=generator)
    predictions = torch.ones_like(predictions) if constant == "predictions" else predictions
    labels = torch.zeros_like(labels) if constant == "labels" else labels
    metric = Matthews(classes)
    for part in range(0, 101, 40):
        metric.update(torch.eye(classes)[predictions[part : part + 40]], labels[part : part + 40])
    expected = matthews_corrcoef(labels, predictions)
    assert (expected == 0) == (constant != "neither")
    assert metric.compute().item() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("score", "mode", "largest_share", "collapsed"),
    [
        (0.51, "max", 0.9, False),
        (0.50, "max", 0.9, True),  # as good as the constant prediction
        (0.51, "max", 1.0, True),  # one answer to all, of another class than training has most of
        (0.49, "min", math.nan, False),
        (0.51, "min", math.nan, True),
        (math.nan, "max", 0.9, True),
        (math.nan, "min", math.nan, True),
    ],
)
def test_collapse(score: float, mode: str, largest_share: float, collapsed: bool) -> None:
    assert has_collapsed(score, 0.5, mode=mode, largest_share=largest_share) == collapsed


def test_an_example_with_a_logit_that_is_not_finite_has_no_prediction() -> None:
    logits = torch.tensor([[0.0, 1.0], [-math.inf, 0.0], [math.inf, 0.0], [0.0, math.nan]])
    found = predictions(logits, regression=False)
    torch.testing.assert_close(found[0], logits[0].softmax(-1), rtol=0, atol=0)
    assert found[1:].isnan().all()
    assert predictions(logits[:, :1], regression=True).tolist() == pytest.approx(
        [0, math.nan, math.nan, 0], nan_ok=True
    )
    assert predictions(logits[:0], regression=False).shape == (0, 2)


def test_the_largest_share_is_undefined_if_a_prediction_is() -> None:
    counts = torch.tensor([1.0, 3.0])
    assert largest_share(counts, undefined=0) == 0.75
    assert math.isnan(largest_share(counts, undefined=1))


@pytest.mark.parametrize("offset", [0.0, 2e3, 1e6, 1.7e9, 1e12])
@pytest.mark.parametrize("spread", [1e-2, 1e-4, 1e-6])
def test_a_constant_has_no_correlation_with_numbers_far_from_zero(offset: float, spread: float) -> None:
    labels = (offset + (offset or 1) * spread * np.random.default_rng(0).standard_normal(200)).astype(np.float32)
    mean = float(labels.mean(dtype=np.float64))
    for metric in (PearsonCorrCoef(), SpearmanCorrCoef()):
        assert majority_score(metric, labels, constant=mean, num_outputs=1, regression=True) == 0.0
    error = majority_score(MeanAbsoluteError(), labels, constant=mean, num_outputs=1, regression=True)
    assert error == pytest.approx(np.abs(labels - np.float32(mean)).mean(dtype=np.float64), rel=1e-3)
