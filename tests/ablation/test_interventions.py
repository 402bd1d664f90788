"""Each ablation against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clsnorm.ablation.interventions import INTERVENTIONS, Intervention, TrainFacts, applicable, other_examples
from clsnorm.ablation.outlier_sets import norm_parameters

DIMS = torch.tensor([1, 4])
KEPT = torch.tensor([0, 2, 3, 5])


@pytest.fixture
def norm() -> nn.LayerNorm:
    torch.manual_seed(0)
    norm = nn.LayerNorm(6)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    return norm


@pytest.fixture
def h(norm: nn.LayerNorm) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    mixed = torch.randn(50, 6, generator=generator) @ torch.randn(6, 6, generator=generator)
    return norm(mixed).detach()


@pytest.fixture
def facts(h: Tensor, norm: nn.LayerNorm) -> TrainFacts:
    rows = h.double()
    return TrainFacts(rows.mean(0), torch.cov(rows.T, correction=0), norm_parameters(norm))


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_an_empty_set_changes_nothing_and_others_leave_their_input_alone(
    name: str, h: Tensor, facts: TrainFacts
) -> None:
    before = h.clone()
    assert INTERVENTIONS[name].apply(h, torch.tensor([], dtype=torch.long), facts, h) is h
    changed = INTERVENTIONS[name].apply(h, DIMS, facts, h.roll(1, 0))
    assert torch.equal(h, before)
    assert not torch.equal(changed[:, DIMS], h[:, DIMS])
    assert torch.equal(changed[:, KEPT], h[:, KEPT]) == (name != "subspace")
    assert changed.dtype == h.dtype


def test_values_that_replace_dimensions(h: Tensor, facts: TrainFacts) -> None:
    others = h.roll(1, 0)
    found = {name: one.apply(h, DIMS, facts, others)[:, DIMS] for name, one in INTERVENTIONS.items()}
    assert not found["zero"].any()
    torch.testing.assert_close(found["mean"], h.mean(0)[DIMS].expand(50, 2))
    assert torch.equal(found["resample"], others[:, DIMS])
    mean = h.double().mean(0)[DIMS]
    assert (found["direction"].double() @ mean).abs().max() < 1e-6
    across = torch.tensor([-mean[1], mean[0]])
    torch.testing.assert_close(found["direction"].double() @ across, h[:, DIMS].double() @ across)


def test_zeroing_weight_and_bias_of_the_last_norm_is_zeroing_the_dimensions(
    h: Tensor, norm: nn.LayerNorm, facts: TrainFacts
) -> None:
    with torch.no_grad():
        inputs = (h - norm.bias) / norm.weight  # has mean 0 and variance 1 over dimensions, so a norm returns it
        for name, (weight, bias) in {"norm_weight": (0, 1), "norm_bias": (1, 0), "zero": (0, 0)}.items():
            edited = inputs.clone() * norm.weight + norm.bias
            edited[:, DIMS] = inputs[:, DIMS] * norm.weight[DIMS] * weight + norm.bias[DIMS] * bias
            torch.testing.assert_close(INTERVENTIONS[name].apply(h, DIMS, facts, h), edited)


def test_after_subspace_nothing_linear_with_the_dimensions_is_left(h: Tensor, facts: TrainFacts) -> None:
    changed = INTERVENTIONS["subspace"].apply(h, DIMS, facts, h).double()
    centred = h.double() - facts.mean
    assert (centred[:, DIMS].T @ changed / len(h)).abs().max() < 1e-6
    torch.testing.assert_close(changed.mean(0), facts.mean, rtol=0, atol=1e-6)
    # The erased part is the least squares fit, so that no smaller change does the same (LEACE, arXiv:2306.03819).
    fit = np.linalg.lstsq(centred[:, DIMS].numpy(), centred.numpy(), rcond=None)[0]
    torch.testing.assert_close(h.double() - changed, centred[:, DIMS] @ torch.from_numpy(fit), rtol=0, atol=1e-6)


def test_ablations_of_a_norm_need_one(facts: TrainFacts) -> None:
    assert set(applicable(facts)) == set(INTERVENTIONS)
    without = applicable(TrainFacts(facts.mean, facts.covariance, None))
    assert set(INTERVENTIONS) - set(without) == {"norm_weight", "norm_bias"}
    assert all(isinstance(one, Intervention) for one in without.values())


@pytest.mark.parametrize("rows", [2, 3, 50])
def test_each_example_gets_the_values_of_another_one(rows: int) -> None:
    found = other_examples(rows, seed=0)
    assert sorted(found) == list(range(rows))
    assert (found != np.arange(rows)).all()
