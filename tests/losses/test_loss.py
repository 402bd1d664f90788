"""The contract of a loss, and the one by which splits are scored."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from clsnorm.losses import Loss, Task, example_losses

LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
LABELS = torch.tensor([2, 0])


class Focal(Loss):
    """Lin et al., 2017; a loss as a user would add it."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        losses = F.cross_entropy(logits.float(), labels, reduction="none")
        return (1 - torch.exp(-losses)) ** 2 * losses


def test_scores_are_torch_s_losses_of_single_examples() -> None:
    wanted = F.cross_entropy(LOGITS, LABELS, reduction="none")
    assert torch.equal(example_losses(LOGITS, LABELS, regression=False), wanted)
    values, targets = torch.tensor([[1.0], [3.0]]), torch.tensor([2.0, 1.5])
    assert example_losses(values, targets, regression=True).tolist() == [1.0, 2.25]
    assert example_losses(LOGITS.bfloat16(), LABELS, regression=False).dtype == torch.float32


def test_a_loss_of_one_s_own_has_residuals_and_no_bound() -> None:
    loss = Focal(Task(("a", "b", "c"), (1, 1, 1)))
    found, step = loss.residuals(LOGITS, LABELS), 1e-3
    for row in range(2):
        for column in range(3):
            moved = LOGITS.double().clone()
            moved[row, column] += step
            slope = (loss(moved, LABELS) - loss(LOGITS.double(), LABELS))[row] / step
            assert float(found[row, column]) == pytest.approx(float(slope), abs=2e-3)
    assert loss.residual_bound == math.inf


def test_residuals_need_no_graph_and_leave_none() -> None:
    loss, logits = Focal(Task(("a", "b", "c"), (1, 1, 1))), LOGITS.clone().requires_grad_()
    with torch.no_grad():
        found = loss.residuals(logits, LABELS)
    assert not found.requires_grad
    assert logits.grad is None


def test_a_task_without_classes_is_a_regression() -> None:
    assert Task().regression
    assert not Task(("a", "b"), (1, 1)).regression
