"""The exact search over thresholds against trying each of them."""

from __future__ import annotations

import numpy as np
import pytest

from clsnorm.ablation.single_dimensions import best_cuts, single_dimensions


def by_trying(values: np.ndarray, labels: np.ndarray, classes: int) -> float:
    distinct = np.unique(values)
    cuts = [-np.inf, *((distinct[1:] + distinct[:-1]) / 2)]
    sides = [np.bincount(labels[side], minlength=classes).max() for c in cuts for side in (values < c, values >= c)]
    return max(a + b for a, b in zip(sides[::2], sides[1::2], strict=True)) / len(labels)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_accuracy_is_that_of_the_best_of_all_midpoints(classes: int) -> None:
    draw = np.random.default_rng(classes)
    values = np.c_[draw.standard_normal((60, 3)), draw.integers(0, 4, (60, 2)), np.ones(60)]
    labels = draw.integers(0, classes, 60)
    accuracy, threshold, below, above = best_cuts(values, labels, classes)
    for j in range(values.shape[1]):
        assert accuracy[j] == pytest.approx(by_trying(values[:, j], labels, classes))
        predicted = np.where(values[:, j] < threshold[j], below[j], above[j])
        assert (predicted == labels).mean() == pytest.approx(accuracy[j])
    assert threshold[-1] == np.inf


def test_a_dimension_that_tells_the_classes_apart_beats_random_labels() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 400)
    values = draw.standard_normal((400, 10))
    values[:, 4] += 5 * (labels == 2)
    train, other = (values[:200], labels[:200]), (values[200:], labels[200:])
    found = single_dimensions(train, other, classes=3, draws=10, seed=0)
    assert np.argmax(found["train"]) == np.argmax(found["other"]) == 4
    assert found["train"][4] > found["random"]["train"]["best_95"]
    assert found["other"][4] > found["random"]["other"]["best_95"]
    others = np.delete(found["train"], 4)
    assert found["random"]["train"]["mean"] == pytest.approx(others.mean(), abs=0.03)
    assert found["majority"] == (labels[200:] == np.bincount(labels[:200]).argmax()).mean()
