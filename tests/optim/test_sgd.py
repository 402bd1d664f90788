"""SGD: torch's steps, and which parameters decay."""

import pytest
import torch
from torch import nn

from clsnorm.errors import InputError
from clsnorm.optim import SGD
from clsnorm.optim.groups import apply_rates, parameter_groups


@pytest.mark.parametrize("options", [{"momentum": 0.0}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_each_step_is_torchs_with_decay_of_matrices_only(options, classifier):
    classifier = classifier.double()
    generator = torch.Generator().manual_seed(0)
    named = dict(classifier.named_parameters())
    theirs = {name: nn.Parameter(p.detach().clone()) for name, p in named.items()}
    plain = {"lr": 0.1, "weight_decay": 0.5, **options}
    decays = {name: p.ndim >= 2 and not name.startswith("normalizer") for name, p in named.items()}
    reference = torch.optim.SGD(
        [
            {"params": [p for name, p in theirs.items() if decays[name]]},
            {"params": [p for name, p in theirs.items() if not decays[name]], "weight_decay": 0.0},
        ],
        **plain,
    )
    ours = SGD(parameter_groups(classifier), **plain)
    for _ in range(3):
        for name, p in named.items():
            p.grad = torch.randn(p.shape, generator=generator, dtype=p.dtype)
            theirs[name].grad = p.grad.clone()
        ours.step()
        reference.step()
        for name, p in named.items():
            assert torch.equal(p, theirs[name]), name


def test_formula():
    generator = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn(5, 3, 2, generator=generator, dtype=torch.float64)
    parameter, p, b = nn.Parameter(start.clone()), start.clone(), None
    optimizer = SGD([parameter], lr=0.1, momentum=0.8, weight_decay=0.3)
    for g in gradients:
        parameter.grad = g.clone()
        optimizer.step()
        decayed = g + 0.3 * p
        b = decayed if b is None else 0.8 * b + decayed
        p = p - 0.1 * b
        torch.testing.assert_close(parameter.detach(), p, atol=1e-14, rtol=1e-14)


def test_a_larger_gradient_takes_a_larger_step():
    moved = []
    for size in (1.0, 1000.0):
        parameter = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        optimizer = SGD([parameter], lr=0.1)
        parameter.grad = torch.full((3,), size, dtype=torch.float64)
        optimizer.step()
        moved.append(float(parameter.detach()[0]))
    assert moved[1] == pytest.approx(1000 * moved[0])


def test_rates_by_depth_and_by_parameter(classifier):
    groups = parameter_groups(classifier, rates={"head.bias": 8.0})
    optimizer = SGD(groups, lr=1.0, layer_decay=0.5, head_lr_factor=4.0)
    apply_rates(optimizer)
    of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    rate = {name: of[id(p)] for name, p in classifier.named_parameters()}
    assert (rate["head.weight"], rate["head.bias"], rate["normalizer.weight"]) == (4.0, 32.0, 1.0)
    assert rate["encoder.model.embeddings.word_embeddings.weight"] == 0.0625


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, r"optimizer\.lr"),
        ({"momentum": 1.0}, r"optimizer\.momentum"),
        ({"momentum": 0.0, "nesterov": True}, r"optimizer\.nesterov` to be false without momentum"),
        ({"weight_decay": -1.0}, r"optimizer\.weight_decay"),
        ({"nesterov": "yes"}, r"optimizer\.nesterov"),
        ({"layer_decay": 2.0}, r"optimizer\.layer_decay"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        SGD([nn.Parameter(torch.zeros(1))], **{"lr": 0.1, **options})
