"""Thresholds against the optimizers themselves, on a quadratic just below and just above them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clsnorm.optim.adamw import AdamW, AdamWUncorrected
from clsnorm.optim.stability import step_scales, threshold


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.5, "nesterov": True},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "dampening": 0.9},  # Adam's average of gradients
    ],
)
def test_sgd_converges_below_the_threshold_and_diverges_above(options: dict[str, Any]) -> None:
    def distance(factor: float) -> float:
        weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer = torch.optim.SGD([weight], lr=1.0, **options)
        limit = threshold(optimizer.param_groups[0])
        assert limit is not None
        for _ in range(2000):
            optimizer.zero_grad()
            (0.5 * factor * limit * weight.square()).sum().backward()
            optimizer.step()
        return float(weight.abs())

    assert distance(0.98) < 1e-3
    assert distance(1.02) > 1e3


def test_known_thresholds() -> None:
    assert threshold({"momentum": 0.0, "dampening": 0.0, "nesterov": False}) == 2.0
    assert threshold({"betas": (0.9, 0.999)}) == pytest.approx(38.0)
    assert threshold({"lr": 1.0}) is None


@pytest.mark.parametrize("kind", [AdamW, AdamWUncorrected])
def test_adam_moves_by_its_scale_times_its_mean(kind: Any) -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimizer = kind([weight], lr=0.1, weight_decay=0.0, eps=0.01)
    assert step_scales(optimizer, [weight]) is None  # before the first step
    for _ in range(3):
        optimizer.zero_grad()
        (weight**3).sum().backward()
        before = weight.detach().clone()
        optimizer.step()
    scales = step_scales(optimizer, [weight])
    assert scales is not None
    mean = optimizer.state[weight]["exp_avg"] / (1 - 0.9**3 if kind is AdamW else 1)
    torch.testing.assert_close(before - scales[0] * mean, weight.detach(), rtol=1e-5, atol=1e-6)


def test_other_parameters_and_optimizers_have_no_scale() -> None:
    weight, other = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [weight], "lr": 0.25}], lr=1.0)
    assert step_scales(optimizer, [weight]) == [torch.tensor(0.25)]
    assert step_scales(optimizer, [weight, other]) is None
    assert step_scales(torch.optim.Adagrad([weight]), [weight]) is None
