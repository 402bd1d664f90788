"""Weights of classes against scikit-learn, as stated, and their scale."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from clsnorm.errors import InputError
from clsnorm.losses import balanced_weights, mean_one, stated_weights

CLASSES = ("negative", "positive", "neutral")


def test_balanced_weights_are_scikit_learn_s() -> None:
    labels = np.repeat([0, 1, 2], [30, 7, 13])
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced_weights([30, 7, 13]) == pytest.approx(wanted.tolist(), rel=1e-15)


def test_a_class_without_examples_leaves_the_others_balanced() -> None:
    weights = balanced_weights([30, 0, 10])
    assert weights[0] * 30 == pytest.approx(weights[2] * 10)
    assert mean_one(weights, [30, 0, 10])[0] == pytest.approx(weights[0])


def test_stated_weights_are_in_the_order_of_the_classes() -> None:
    assert stated_weights({"neutral": 3, "negative": 1, "positive": 0.5}, CLASSES) == [1.0, 0.5, 3.0]
    assert stated_weights({0: 1, 1: 2}, ("0", "1")) == [1.0, 2.0]  # YAML reads these labels as numbers
    assert stated_weights({True: 1, False: 2}, ("no", "yes")) == [2.0, 1.0]


def test_the_mean_over_examples_is_one() -> None:
    weights = mean_one([1.0, 5.0], [30, 10])
    assert weights[1] == pytest.approx(5 * weights[0])
    assert (30 * weights[0] + 10 * weights[1]) / 40 == pytest.approx(1)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"negative": 1, "positive": 1}, "none for neutral"),
        ({"negative": 1, "positive": 1, "neutral": 1, "other": 1}, "'other'.*classes are negative, positive, neutral"),
        ({"negative": 0, "positive": 1, "neutral": 1}, r"loss.class_weights.negative.*positive number.*0"),
        ({"negative": float("nan"), "positive": 1, "neutral": 1}, "positive number.*nan"),
        ({"negative": True, "positive": 1, "neutral": 1}, "positive number.*True"),
        ({"negative": 1, " negative": 1, "positive": 1, "neutral": 1}, "' negative'"),
    ],
)
def test_faulty_weights_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        stated_weights(weights, CLASSES)
