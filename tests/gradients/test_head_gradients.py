"""Closed forms of the head's gradients against autograd on one example at a time."""

from __future__ import annotations

import math

import pytest
import torch
from plain_losses import CROSS_ENTROPY, SQUARED_ERROR
from torch import Tensor, nn

from clsnorm.gradients import bound_at_z, head_gram, head_norms
from clsnorm.losses import Loss, StandardLoss, Task
from clsnorm.model import CosineHead

WEIGHTED = StandardLoss(Task(("a", "b", "c"), (5, 3, 2)), class_weights={"a": 1, "b": 4, "c": 2}, label_smoothing=0.2)
LABELS = {False: torch.tensor([0, 2, 1, 2]), True: torch.tensor([0.3, -2.0, 5.0, 0.0])}


def example(*, regression: bool, bias: bool = True) -> tuple[nn.Linear, Tensor, Tensor]:
    torch.manual_seed(0)
    return nn.Linear(6, 1 if regression else 3, bias=bias), 3 * torch.randn(4, 6), LABELS[regression]


@pytest.mark.parametrize("losses", [CROSS_ENTROPY, WEIGHTED, SQUARED_ERROR], ids=["plain", "weighted", "numbers"])
@pytest.mark.parametrize("bias", [False, True])
def test_norms_are_those_of_one_backward_pass_per_example(losses: Loss, bias: bool) -> None:
    head, z, labels = example(regression=losses.task.regression, bias=bias)
    with torch.no_grad():  # as in a hook: the residuals need no graph
        found = head_norms(head, z, losses.residuals(head(z), labels))
    expected: dict[str, list[float]] = {name: [] for name, _ in head.named_parameters()}
    for row, label in zip(z, labels, strict=True):
        loss = losses(head(row[None]), label[None]).sum()
        for name, gradient in zip(expected, torch.autograd.grad(loss, list(head.parameters())), strict=True):
            expected[name].append(float(gradient.norm()))
    assert found is not None
    assert found.keys() == expected.keys()
    for name, norms in expected.items():
        assert found[name].tolist() == pytest.approx(norms, rel=1e-5)


def test_a_head_that_is_not_linear_has_no_closed_form() -> None:
    head = CosineHead(6, 3)
    assert head_norms(head, torch.randn(2, 6), torch.randn(2, 3)) is None
    assert head_gram(head) is None


@pytest.mark.parametrize(("classes", "dim"), [(3, 8), (9, 4)])
def test_no_gradient_at_z_exceeds_the_bound_and_the_worst_one_reaches_it(classes: int, dim: int) -> None:
    torch.manual_seed(0)
    head = nn.Linear(dim, classes).double()
    gram = head_gram(head)
    assert gram is not None
    assert gram.shape == (min(classes, dim),) * 2
    bound = bound_at_z(gram, dropout=0.0, residual_bound=math.sqrt(2))
    assert bound == pytest.approx(math.sqrt(2) * float(torch.linalg.matrix_norm(head.weight.detach(), 2)), rel=1e-12)
    z = 100 * torch.randn(500, dim, dtype=torch.float64)
    residual = CROSS_ENTROPY.residuals(head(z), torch.randint(classes, (500,))).double()
    assert float((residual @ head.weight.detach()).norm(dim=1).max()) <= bound
    pair = nn.Linear(dim, 2).double()  # certain and wrong, with two classes of opposite weights: p - y = (1, -1)
    with torch.no_grad():
        pair.weight[1] = -pair.weight[0]
    worst = float((torch.tensor([[1.0, -1.0]], dtype=torch.float64) @ pair.weight.detach()).norm())
    gram = head_gram(pair)
    assert gram is not None
    assert worst == pytest.approx(bound_at_z(gram, dropout=0.0, residual_bound=math.sqrt(2)), rel=1e-12)
    assert bound_at_z(gram, dropout=0.5, residual_bound=math.sqrt(2)) == pytest.approx(2 * worst)


def test_regression_and_broken_weights_have_no_bound() -> None:
    assert math.isnan(bound_at_z(torch.eye(2), dropout=0.0, residual_bound=SQUARED_ERROR.residual_bound))
    assert math.isnan(bound_at_z(torch.full((2, 2), math.nan), dropout=0.0, residual_bound=math.sqrt(2)))
