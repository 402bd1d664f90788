"""The two parts of a step, each at a rate of its own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from clsnorm.optim import AdamW
from clsnorm.optim.compensation import compensate


@pytest.mark.parametrize("kind", [AdamW, torch.optim.SGD])
def test_a_step_at_the_mean_follows_the_bias_s_rate_and_the_rest_the_weight_s(kind: type) -> None:
    torch.manual_seed(0)
    z, plain, weight, bias = torch.randn(20, 6, dtype=torch.float64) + 2, nn.Linear(6, 3).double(), 0.25, 4.0
    mean, apart = z.mean(0), copy.deepcopy(plain)
    before = plain(z).detach()
    plain_optimizer = kind(plain.parameters(), lr=0.01, weight_decay=0.1)
    groups = [{"params": [apart.weight], "lr": 0.01 * weight}, {"params": [apart.bias], "lr": 0.01 * bias}]
    optimizer = kind(groups, lr=0.01, weight_decay=0.1)
    compensate(optimizer, apart, lambda: (bias / weight - 1) * mean)
    for layer, taken in ((plain, plain_optimizer), (apart, optimizer)):
        nn.functional.cross_entropy(layer(z), torch.arange(20) % 3).backward()
        taken.step()
    moved, expected = (layer(z).detach() - before for layer in (apart, plain))
    common = expected.mean(0)
    torch.testing.assert_close(moved, weight * (expected - common) + bias * common)


def test_a_shift_of_zero_changes_nothing_and_a_skipped_step_adds_nothing() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(4, 2)
    optimizer = AdamW(layer.parameters(), lr=0.1, weight_decay=0.0)
    compensate(optimizer, layer, lambda: torch.full((4,), 5.0))
    before = [p.detach().clone() for p in layer.parameters()]
    optimizer.step()  # no gradients
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), before, strict=True))
    twin = copy.deepcopy(layer)
    ours, theirs = AdamW(layer.parameters(), lr=0.1), AdamW(twin.parameters(), lr=0.1)
    compensate(ours, layer, lambda: torch.zeros(4))
    for head, optimizer in ((layer, ours), (twin, theirs)):
        head(torch.ones(3, 4)).square().sum().backward()
        optimizer.step()
    assert torch.equal(layer.bias, twin.bias)
