"""Layers computed again in the backward pass: the same gradients to the bit, hooks once, less memory."""

from __future__ import annotations

import pytest
import torch
from runs import metrics, weights

from clsnorm.errors import InputError
from clsnorm.model import Encoder
from clsnorm.model.encoder import attention
from clsnorm.model.encoder.recomputation import RecomputedLayer

FAMILIES = ("bert", "roberta", "electra", "distilbert", "albert", "modernbert", "mpnet", "deberta", "deberta-v2")
EAGER = ("mpnet", "deberta", "deberta-v2")
LENGTHS = [7, 19, 1, 12]


def build(folder, family, **options):
    return Encoder(folder, attention="eager" if family in EAGER else "sdpa", dropout=0.3, **options)


def backward(encoder, batch, **options):
    """Returns [CLS], the gradients, the bytes that autograd stores for the backward pass, and calls of layers."""
    stored, calls = [], []
    for layer in encoder.layers():
        layer.register_forward_hook(lambda *_: calls.append(1))
    own = {parameter.data_ptr() for parameter in encoder.parameters()}

    def store(tensor):
        stored.append(0 if tensor.data_ptr() in own else tensor.nbytes)
        return tensor

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(store, lambda tensor: tensor):
        cls = encoder(batch, **options).cls
    size = sum(stored)
    cls.square().sum().backward()
    return cls.detach(), {name: p.grad for name, p in encoder.named_parameters()}, size, len(calls)


def same(first, second):
    return all(
        (a is None) == (b is None) and (a is None or torch.equal(a, b))
        for a, b in ((first[name], second[name]) for name in first.keys() | second.keys())
    )


@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_the_same_to_the_bit_with_less_memory(family, packed, layers, tiny, make_batch):
    if packed and family in EAGER:
        pytest.skip("cannot pack")
    batch, folder = make_batch(LENGTHS, packed=packed), tiny(family)
    cls, expected, size, calls = backward(build(folder, family), batch, layers=layers)
    found, gradients, smaller, again = backward(
        build(folder, family, gradient_checkpointing=True), batch, layers=layers
    )
    assert torch.equal(found, cls)
    assert same(gradients, expected)
    assert smaller < size / 2
    assert again == calls


def test_gradients_are_the_same_if_attention_is_computed_in_groups(tiny, make_batch, monkeypatch):
    monkeypatch.setattr(attention, "GROUP_COST", 0)
    batch = make_batch(LENGTHS, packed=True)
    assert len(attention.Groups.of(batch.lengths, 2).groups) > 2
    expected = backward(build(tiny("bert"), "bert"), batch)[1]
    assert same(backward(build(tiny("bert"), "bert", gradient_checkpointing=True), batch)[1], expected)


def test_frozen_layers_are_computed_once(tiny, make_batch):
    expected = backward(build(tiny("bert"), "bert", freeze=2), make_batch(LENGTHS))[1]
    encoder = build(tiny("bert"), "bert", freeze=2, gradient_checkpointing=True)
    assert same(backward(encoder, make_batch(LENGTHS))[1], expected)


def test_nothing_changes_in_evaluation_and_in_the_names_of_parameters(tiny, make_batch):
    plain, checkpointed = (build(tiny("bert"), "bert", gradient_checkpointing=on).eval() for on in (False, True))
    assert all(isinstance(layer, RecomputedLayer) for layer in checkpointed.layers())
    assert torch.equal(plain(make_batch(LENGTHS)).cls, checkpointed(make_batch(LENGTHS)).cls)
    assert plain.state_dict().keys() == checkpointed.state_dict().keys()
    assert plain.computation() == checkpointed.computation()


def test_a_value_that_is_no_switch_is_refused(tiny):
    with pytest.raises(InputError, match=r"model\.gradient_checkpointing"):
        build(tiny("bert"), "bert", gradient_checkpointing="layers")


@pytest.mark.parametrize(
    "options",
    [
        ("callbacks=[cls_statistics,gradient_norms]", "callbacks.cls_statistics.layers=true"),
        pytest.param(
            ("model.freeze=2", "regularizer=istar", "callbacks=[gradient_norms,sharpness]"), marks=pytest.mark.slow
        ),
        pytest.param(("trainer=ddp_cpu", "callbacks=gradient_norms"), marks=pytest.mark.slow),
    ],
)
def test_a_run_equals_one_without_to_the_bit(train, options):
    plain, checkpointed = (train(*options, f"model.gradient_checkpointing={word}") for word in ("false", "true"))
    assert metrics(checkpointed) == metrics(plain)
    expected, found = weights(plain), weights(checkpointed)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
