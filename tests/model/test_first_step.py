"""The first step of an optimizer, against numpy and against the optimizer itself."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from plain_losses import CROSS_ENTROPY, SQUARED_ERROR
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from clsnorm.model import CosineHead
from clsnorm.model.first_step import FirstStep, first_step
from clsnorm.optim import AdamW, AdamWUncorrected

DIM, CLASSES = 12, 3
SIGNS = partial(AdamW, lr=1e-3, eps=1e-30, weight_decay=0.0)
GRADIENTS = partial(torch.optim.SGD, lr=0.1, momentum=0.9)


def data(count: int = 3, classes: int = CLASSES) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(count, 8, DIM, generator=generator) + torch.linspace(-2, 3, DIM)
    labels = torch.randint(classes, (count, 8), generator=generator)
    return [(z[k], labels[k]) for k in range(count)]


def head(classes: int = CLASSES, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(DIM, classes, bias=bias)


def by_numpy(layer: nn.Linear, batches: list[tuple[Tensor, Tensor]], *, signs: bool) -> list[float]:
    """Cross-entropy's first step by its formula: sign(G) z + sign(g), or with the gradients themselves."""
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    rows = np.concatenate([z.double().numpy() for z, _ in batches])
    logs, specific, common = [], [], []
    for z, labels in ((z.double().numpy(), labels.numpy()) for z, labels in batches):
        scores = np.exp(z @ weight.T + bias)
        error = (scores / scores.sum(1, keepdims=True) - np.eye(len(bias))[labels]) / len(labels)
        steps = [error.T @ z, error.sum(0)]
        steps = [np.sign(step) for step in steps] if signs else steps
        logs.append(np.log(((z @ steps[0].T + steps[1]) ** 2).mean()) / 2)
        moved = rows @ steps[0].T + steps[1]
        seen = moved - moved.mean(1, keepdims=True)
        specific.append(((seen - seen.mean(0)) ** 2).mean())
        common.append((seen.mean(0) ** 2).mean())
    return [np.exp(np.mean(logs)), np.mean(specific) ** 0.5, np.mean(common) ** 0.5]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("optimizer", "signs"), [(SIGNS, True), (GRADIENTS, False)])
def test_the_parts_follow_their_formulas(optimizer: partial, signs: bool, classes: int) -> None:
    batches = data(classes=classes)
    step = first_step(head(classes), batches, optimizer=optimizer, loss=CROSS_ENTROPY)
    assert isinstance(step, FirstStep)
    assert list(step) == pytest.approx(by_numpy(head(classes), batches, signs=signs), rel=1e-5)


def test_an_output_of_a_regression_is_taken_as_it_is() -> None:
    (z, labels), layer = data(1)[0], head(1)
    step = first_step(layer, [(z, labels.float())], optimizer=SIGNS, loss=SQUARED_ERROR)
    error = (layer(z)[:, 0] - labels).detach()
    moved = z @ (error @ z).sign() + error.sum().sign()
    expected = [moved.square().mean().sqrt(), moved.std(correction=0), moved.mean().abs()]
    assert list(step) == pytest.approx([float(x) for x in expected], rel=1e-5)


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(AdamW, lr=1e-3),
        partial(AdamWUncorrected, lr=1e-3),
        partial(torch.optim.SGD, lr=0.1),
        partial(torch.optim.RMSprop, lr=1e-3),
        partial(torch.optim.LBFGS, lr=0.1, max_iter=1),
    ],
)
@pytest.mark.parametrize("kind", [nn.Linear, CosineHead])
def test_any_optimizer_s_own_step_is_measured(optimizer: partial, kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    (z, labels), layer = data(1)[0], kind(DIM, CLASSES)
    if optimizer.func is torch.optim.LBFGS:  # has no parameter groups
        optimizer = partial(lambda groups, **options: torch.optim.LBFGS(groups[0]["params"], **options), lr=0.1)
    step = first_step(layer, [(z, labels)], optimizer=optimizer, loss=CROSS_ENTROPY)
    moved = kind(DIM, CLASSES).double()
    moved.load_state_dict(layer.state_dict())
    before = moved(z.double()).detach()
    parameters = [{"params": [p], "weight_decay": 0.01 * (p.ndim > 1)} for p in moved.parameters()]
    taken = optimizer(parameters)
    taken.step(lambda: (taken.zero_grad(), loss := F.cross_entropy(moved(z.double()), labels), loss.backward())[1])
    change = (moved(z.double()).detach() - before) / taken.param_groups[0]["lr"]
    assert step.total == pytest.approx(float(change.square().mean().sqrt()), rel=2e-3)


def test_the_head_and_the_random_state_are_unchanged() -> None:
    layer, state = head(), torch.random.get_rng_state()
    before = [p.clone() for p in layer.parameters()]
    first_step(layer, data(), optimizer=SIGNS, loss=CROSS_ENTROPY)
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), before, strict=True))
    assert all(p.grad is None for p in layer.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_factors_and_a_shift_scale_the_two_parts_alone() -> None:
    batches = data()
    mean = torch.cat([z for z, _ in batches]).mean(0).double()
    plain = first_step(head(), batches, optimizer=SIGNS, loss=CROSS_ENTROPY)
    for weight, bias in ((0.5, 3.0), (4.0, 0.1)):
        rates = {"head.weight": weight, "head.bias": bias}
        step = first_step(
            head(), batches, optimizer=SIGNS, loss=CROSS_ENTROPY, rates=rates, shift=(bias / weight - 1) * mean
        )
        assert step.specific == pytest.approx(weight * plain.specific)
        assert step.common == pytest.approx(bias * plain.common)


def test_equal_embeddings_move_alike_by_their_1_norm() -> None:
    z = data(1)[0][0][:1].expand(9, DIM)
    step = first_step(head(), [(z, torch.arange(9) % 2)], optimizer=SIGNS, loss=CROSS_ENTROPY)
    assert step.total == pytest.approx(1 + float(z[0].abs().sum()), rel=1e-5)
    assert step.specific == pytest.approx(0, abs=1e-9)
    assert step.common > 1
