import io
import math

import pytest
import torch
from torch import nn

from clsnorm.errors import InputError
from clsnorm.model.classifier import Classifier
from clsnorm.model.encoder.encoder import Encoder
from clsnorm.normalizers import LayerNorm
from clsnorm.optim import AdamW, AdamWUncorrected, Constant, Cosine, Linear
from clsnorm.optim.groups import parameter_groups


@pytest.fixture
def classifier(tiny):
    encoder = Encoder(tiny("bert"), tap="pooler")
    return Classifier(encoder, LayerNorm(24, eps=1e-5, affine=True), num_outputs=2, seed_init=0)


def test_groups_hold_each_parameter_once_and_spare_norms_biases_and_normalizers(classifier):
    groups = parameter_groups(classifier)
    grouped = [p for group in groups for p in group["params"]]
    assert len(grouped) == len({id(p) for p in grouped}) == len(list(classifier.parameters()))
    decayed = {id(p) for group in groups if "weight_decay" not in group for p in group["params"]}
    for name, parameter in classifier.named_parameters():
        spared = (
            "LayerNorm" in name or name.endswith("bias") or name.startswith("normalizer")
        )  # Trainer's rule, and ours
        assert (id(parameter) in decayed) == (not spared), name
    assert all(group["weight_decay"] == 0.0 for group in groups if "weight_decay" in group)


def test_a_matrix_of_the_normalizer_is_not_decayed(classifier):
    classifier.normalizer.matrix = nn.Parameter(torch.eye(24))
    (group,) = [g for g in parameter_groups(classifier) if any(p is classifier.normalizer.matrix for p in g["params"])]
    assert group["weight_decay"] == 0.0


def test_frozen_parameters_are_left_out(classifier):
    classifier.encoder.requires_grad_(False)
    assert {g["part"] for g in parameter_groups(classifier)} == {"normalizer", "head"}


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


def test_without_layer_decay_two_groups_are_left(classifier):
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
        ({"lr": 1e-3, "layer_decay": 1.5}, r"optimizer\.layer_decay"),
        ({"lr": 1e-3, "head_lr_factor": -1.0}, r"optimizer\.head_lr_factor"),
    ],
)
def test_optimizer_options_out_of_range_are_refused(options, message):
    for optimizer_class in (AdamW, AdamWUncorrected):
        with pytest.raises(InputError, match=message):
            optimizer_class([nn.Parameter(torch.zeros(1))], **options)


def trace(scheduler, steps):
    values = []
    for _ in range(steps):
        values.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return values


def sgd(lr=0.3):
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


@pytest.mark.parametrize(("total", "ratio"), [(100, 0.1), (37, 0.1), (7, 0.0), (3, 1.0), (1, 0.1)])
def test_schedules_equal_those_of_transformers(total, ratio):
    import transformers

    warm = math.ceil(total * ratio)
    for ours, theirs in (
        (Linear, transformers.get_linear_schedule_with_warmup),
        (Cosine, transformers.get_cosine_schedule_with_warmup),
    ):
        mine = trace(ours(sgd(), num_training_steps=total, warmup_ratio=ratio), total)
        assert mine == pytest.approx(trace(theirs(sgd(), warm, total), total), rel=1e-12, abs=1e-15)
    constant = trace(Constant(sgd(), num_training_steps=total, warmup_ratio=ratio), total)
    assert constant == pytest.approx(trace(transformers.get_constant_schedule_with_warmup(sgd(), warm), total))


def test_schedule_state_is_plain_and_resumes():
    whole = trace(Linear(sgd(), num_training_steps=20, warmup_steps=3), 20)
    first = Linear(sgd(), num_training_steps=20, warmup_steps=3)
    start = trace(first, 8)
    buffer = io.BytesIO()
    torch.save({"s": first.state_dict(), "o": first.optimizer.state_dict()}, buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    second = Linear(sgd(), num_training_steps=20, warmup_steps=3)
    second.optimizer.load_state_dict(state["o"])
    second.load_state_dict(state["s"])
    assert start + trace(second, 12) == whole


def test_schedule_options_out_of_range_are_refused():
    for options, message in (
        ({"num_training_steps": 10, "warmup_ratio": 1.5}, r"scheduler\.warmup_ratio"),
        ({"num_training_steps": 10, "warmup_steps": -1}, r"scheduler\.warmup_steps"),
        ({"num_training_steps": math.inf}, r"trainer\.max_steps"),
    ):
        with pytest.raises(InputError, match=message):
            Linear(sgd(), **options)
