from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score

from clsnorm.errors import InputError
from clsnorm.metrics import ClassF1


@pytest.mark.parametrize("index", [0, 1, 2])
def test_class_f1_is_that_of_scikit_learn(index: int) -> None:
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
    with pytest.raises(InputError, match=r"`class_index` to be in \[0, 1\], but got 2"):
        ClassF1(2, class_index=2)
