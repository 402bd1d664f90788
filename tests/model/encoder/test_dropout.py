"""Masks: their distribution, their dependence on the seed, and what they do to a layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from clsnorm.model.encoder.dropout import Dropout, is_faster, scaled_mask, use_faster_dropout


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_elements_are_dropped_independently_with_the_probability(probability: float) -> None:
    torch.manual_seed(0)
    rows, columns = 400, 1001  # an odd number of elements
    mask = scaled_mask((rows, columns), probability)
    assert set(mask.unique().tolist()) == {0.0, torch.tensor(1 / (1 - probability)).item()}
    dropped = (mask == 0).double()
    deviation = math.sqrt(probability * (1 - probability))
    assert abs(dropped.mean().item() - probability) < 4 * deviation / math.sqrt(rows * columns)
    centred = (dropped - probability) / deviation
    for shifted in (centred.roll(1, 0), centred.roll(1, 1), centred.roll(2, 1), centred.roll(1, 0).roll(1, 1)):
        assert abs((centred * shifted).mean().item()) < 4 / math.sqrt(rows * columns)
    counts = dropped.sum(0)  # of each column: binomial
    assert abs(counts.var().item() / (rows * deviation**2) - 1) < 4 * math.sqrt(2 / columns)


def test_a_seed_gives_the_same_masks_and_another_one_others() -> None:
    def draw(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return [scaled_mask((64, 64), 0.5) for _ in range(2)]

    first, again, other = draw(1), draw(1), draw(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert 0.4 < (first[0] == other[0]).double().mean().item() < 0.6


def test_the_gradient_is_masked_like_the_output() -> None:
    layer, x = Dropout(0.25), torch.rand(50, 40, requires_grad=True)
    out = layer(x)
    out.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(out.detach(), x.detach() * x.grad, rtol=1e-6)
    assert {0.0, torch.tensor(1 / 0.75).item()} == set(x.grad.unique().tolist())


def test_nothing_is_dropped_in_evaluation_or_without_a_probability() -> None:
    x = torch.rand(8, 8)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
    assert Dropout(0.5)(torch.empty(0, 8)).shape == (0, 8)


def test_other_types_are_left_to_torch() -> None:
    x = torch.rand(100, 100, dtype=torch.float64)
    assert not is_faster(x)
    torch.manual_seed(3)
    expected = nn.Dropout(0.5)(x)
    torch.manual_seed(3)
    assert torch.equal(Dropout(0.5)(x), expected)


def test_all_dropout_layers_of_a_model_are_replaced() -> None:
    class Own(nn.Dropout):
        pass

    model = nn.Sequential(nn.Dropout(0.1), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2)), Own(0.3))
    use_faster_dropout(model)
    assert [type(module) for module in model.modules() if isinstance(module, nn.Dropout)] == [Dropout, Dropout, Own]
    assert "p=0.2" in repr(model)
