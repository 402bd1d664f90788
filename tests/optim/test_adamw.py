"""Both Adams: their formulas, and learning rates by depth."""

import math

import pytest
import torch
from torch import nn

from clsnorm.errors import InputError
from clsnorm.optim import AdamW, AdamWUncorrected
from clsnorm.optim.adamw import LayerwiseAdam
from clsnorm.optim.groups import apply_rates, parameter_groups


def rates(optimizer, classifier):
    of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    return {name: of[id(p)] for name, p in classifier.named_parameters()}


@pytest.mark.parametrize("optimizer_class", [AdamW, AdamWUncorrected])
def test_rates_fall_from_layer_to_layer(optimizer_class, classifier):
    optimizer = optimizer_class(parameter_groups(classifier), lr=1.0, layer_decay=0.5, head_lr_factor=4.0)
    rate = rates(optimizer, classifier)
    assert rate["head.weight"] == rate["head.bias"] == 4.0
    assert rate["encoder.pooler.dense.weight"] == rate["normalizer.weight"] == 1.0
    assert [rate[f"encoder.model.encoder.layer.{i}.output.dense.weight"] for i in (2, 1, 0)] == [0.5, 0.25, 0.125]
    assert rate["encoder.model.embeddings.word_embeddings.weight"] == 0.0625


def test_without_layer_decay_there_are_two_groups(classifier):
    optimizer = AdamW(parameter_groups(classifier), lr=1e-3)
    assert [(g["lr"], g["weight_decay"]) for g in optimizer.param_groups] == [(1e-3, 0.01), (1e-3, 0.0)]
    sgd = torch.optim.SGD(parameter_groups(classifier), lr=0.1, weight_decay=0.3)  # torch's own take the groups too
    assert {g["weight_decay"] for g in sgd.param_groups} == {0.0, 0.3}


def run(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def test_uncorrected_follows_its_formula():
    generator = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn(6, 4, 3, generator=generator, dtype=torch.float64)
    lr, beta1, beta2, eps, decay = 0.1, 0.8, 0.9, 1e-3, 0.2
    parameter = nn.Parameter(start.clone())
    options = {"lr": lr, "betas": (beta1, beta2), "eps": eps, "weight_decay": decay}
    ours = run(AdamWUncorrected([parameter], **options), parameter, gradients)
    p, m, v = start.clone(), torch.zeros(4, 3), torch.zeros(4, 3)
    for g in gradients:
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (v.sqrt() + eps) + decay * p)
    torch.testing.assert_close(ours, p, atol=1e-12, rtol=1e-12)


def test_adamw_is_torchs_and_differs_from_uncorrected():
    generator = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn(6, 4, 3, generator=generator)
    options = {"lr": 0.1, "eps": 1e-8, "weight_decay": 0.1}
    results = []
    for optimizer_class, extra in ((AdamW, {}), (torch.optim.AdamW, {"foreach": False}), (AdamWUncorrected, {})):
        parameter = nn.Parameter(start.clone())
        results.append(run(optimizer_class([parameter], **options, **extra), parameter, gradients))
    torch.testing.assert_close(results[0], results[1], atol=1e-6, rtol=1e-6)
    first = 0.1 / math.sqrt(0.001)  # (1 - beta1) / sqrt(1 - beta2): the uncorrected first step over lr
    assert (results[0] - results[2]).abs().max() > 0.1 * (first - 1) / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, r"optimizer\.lr"),
        ({"lr": 1e-3, "betas": (0.9, 1.0)}, r"optimizer\.betas"),
        ({"lr": 1e-3, "eps": -1e-8}, r"optimizer\.eps"),
        ({"lr": 1e-3, "weight_decay": float("inf")}, r"optimizer\.weight_decay"),
        ({"lr": 1e-3, "layer_decay": 1.5}, r"optimizer\.layer_decay"),
        ({"lr": 1e-3, "head_lr_factor": -1.0}, r"optimizer\.head_lr_factor"),
    ],
)
def test_optimizer_options_out_of_range_are_refused(options, message):
    for optimizer_class in (AdamW, AdamWUncorrected):
        with pytest.raises(InputError, match=message):
            optimizer_class([nn.Parameter(torch.zeros(1))], **options)


@pytest.mark.parametrize("optimizer_class", [AdamW, AdamWUncorrected, torch.optim.SGD])
def test_a_parameter_s_own_rate_is_applied_once_by_any_optimizer(optimizer_class, classifier):
    own = {"head.weight": 0.25, "head.bias": 2.0, "normalizer.weight": 8.0}
    optimizer = optimizer_class(parameter_groups(classifier, rates=own), lr=1.0)
    apply_rates(optimizer)
    apply_rates(optimizer)
    rate = rates(optimizer, classifier)
    assert {name: value for name, value in rate.items() if value != 1.0} == own


def test_each_adam_has_its_own_eps():
    optimizers = [kind([nn.Parameter(torch.zeros(1))], lr=1e-3) for kind in (AdamW, AdamWUncorrected)]
    assert all(isinstance(optimizer, LayerwiseAdam) for optimizer in optimizers)
    assert [optimizer.param_groups[0]["eps"] for optimizer in optimizers] == [1e-8, 1e-6]
