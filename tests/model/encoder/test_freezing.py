"""Frozen layers: no gradient, no graph and no dropout; the rest of the encoder as before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from clsnorm.errors import InputError
from clsnorm.model import Encoder
from clsnorm.model.encoder.freezing import DIGEST, count_trained, described, leave_out

FAMILIES = ("bert", "roberta", "electra", "distilbert", "modernbert", "mpnet", "deberta", "deberta-v2")
EAGER = ("mpnet", "deberta", "deberta-v2")
LENGTHS = [7, 19, 1, 12]
Tiny = Callable[..., str]


def build(folder: str, family: str, **options: object) -> Encoder:
    return Encoder(folder, attention="eager" if family in EAGER else "sdpa", **options)  # type: ignore[arg-type]


def layer_outputs(encoder: Encoder) -> list[Tensor]:
    """Gets the outputs of the layers in the next forward passes."""
    seen: list[Tensor] = []

    def see(module: nn.Module, args: object, output: Tensor | tuple[Tensor, ...]) -> None:
        seen.append(output if isinstance(output, Tensor) else output[0])

    for layer in encoder.layers():
        layer.register_forward_hook(see)
    return seen


@pytest.mark.parametrize("lowest", [1, 2, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_graph_reaches_into_frozen_layers_and_all_others_learn(family, lowest, tiny, make_batch):
    encoder = build(tiny(family), family, freeze=lowest)
    seen = layer_outputs(encoder)
    encoder(make_batch(LENGTHS)).cls.square().sum().backward()
    assert [output.requires_grad for output in seen] == [number >= lowest - 1 for number in range(3)]
    layers = [{id(p) for p in layer.parameters()} for layer in encoder.layers()]
    norm = encoder.output_norm()
    final = {id(p) for p in norm.parameters()} if norm is not None else set()
    for name, parameter in encoder.named_parameters():
        number = next((n for n, layer in enumerate(layers, 1) if id(parameter) in layer), 0)
        learns = number >= lowest or id(parameter) in final
        assert (parameter.grad is not None) == learns == parameter.requires_grad, name


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_is_off_in_frozen_layers_alone(family, tiny, make_batch):
    encoder = build(tiny(family), family, freeze=2).train()
    seen = layer_outputs(encoder)
    with torch.no_grad():
        first, second = (encoder(make_batch(LENGTHS)).cls for _ in range(2))
    assert torch.equal(seen[0], seen[3])
    assert not torch.equal(first, second)
    whole = build(tiny(family), family).eval()
    expected = layer_outputs(whole)
    with torch.no_grad():
        whole(make_batch(LENGTHS))
    torch.testing.assert_close(seen[0], expected[0])


@pytest.mark.parametrize("packed", [False, True])
def test_a_frozen_encoder_is_that_in_evaluation_and_its_output_is_a_leaf(packed, tiny, make_batch):
    batch = make_batch(LENGTHS, packed=packed)
    frozen, whole = Encoder(tiny("bert"), freeze="all"), Encoder(tiny("bert")).eval()
    for module in (frozen.train(), frozen.eval(), frozen.train()):
        found = module(batch)
        with torch.no_grad():
            assert torch.equal(found.cls, whole(batch).cls)
        assert found.cls.is_leaf
        assert found.cls.requires_grad == module.training
    assert count_trained(frozen)[0] == 0
    assert frozen(make_batch([], packed=packed)).cls.requires_grad  # a process without examples has a graph, too
    with torch.no_grad():
        expected = whole(batch).cls
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(frozen(batch).cls, expected)
            assert not torch.equal(whole(batch).cls, expected)


@pytest.mark.parametrize("tap", ["hidden", "pooler"])
def test_features_of_the_batch_take_the_place_of_the_computation(tap, tiny, make_batch):
    encoder = Encoder(tiny("bert"), tap=tap, freeze="all").eval()
    features = torch.randn(len(LENGTHS), 24)
    batch = replace(make_batch(LENGTHS), features=features)
    found = encoder(batch)
    assert torch.equal(found.cls, features)
    assert (found.hidden is None) == (tap == "pooler")
    assert encoder(batch, layers=True).layers.shape == (4, len(LENGTHS), 24)
    assert not torch.equal(encoder(batch, layers=True).cls, features)
    assert not torch.equal(Encoder(tiny("bert"), tap=tap).eval()(batch).cls, features)  # one that is trained ignores it


@pytest.mark.parametrize("lowest", [0, 4, -1, 1.5, True, "some", "2"])
def test_other_values_are_refused(lowest, tiny):
    with pytest.raises(InputError, match=r"model\.freeze.*model\.freeze=all"):
        Encoder(tiny("bert"), freeze=lowest)


def test_layers_that_share_weights_are_not_frozen_one_by_one(tiny, make_batch):
    with pytest.raises(InputError, match=r"model\.freeze=2.*'albert' share their weights"):
        Encoder(tiny("albert"), freeze=2)
    encoder = Encoder(tiny("albert"), freeze=1)
    encoder(make_batch(LENGTHS)).cls.square().sum().backward()
    (layer,) = encoder.layers()
    shared = {id(p) for p in layer.parameters()}
    assert all((p.grad is not None) == (id(p) in shared) for p in encoder.parameters())
    assert not any(p.requires_grad for p in Encoder(tiny("albert"), freeze="all").parameters())


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, ""),
        (1, "the embedding layer of 6"),
        (2, "the embedding layer and layer 1 of 6"),
        (4, "the embedding layer and layers 1 to 3 of 6"),
        (7, "the whole encoder"),
    ],
)
def test_what_is_frozen_is_said_in_words(count, words):
    assert described(count, 6) == words


def test_trained_values_are_counted(tiny):
    encoder = Encoder(tiny("bert"), freeze=3)
    last, whole = encoder.layers()[-1], Encoder(tiny("bert"))
    sizes = [sum(p.numel() for p in module.parameters()) for module in (last, whole)]
    assert count_trained(encoder) == tuple(sizes)


@pytest.mark.parametrize("lowest", ["all", 2])
def test_a_stored_state_holds_what_is_trained_and_is_whole_again_when_loaded(lowest, tiny):
    encoder = Encoder(tiny("bert"), freeze=lowest)
    for parameter in encoder.parameters():
        parameter.data.add_(float(parameter.requires_grad))
    expected = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    state = nn.ModuleDict({"encoder": encoder}).state_dict()
    leave_out(encoder, state, "encoder.")
    trained = {f"encoder.{name}" for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained <= state.keys()
    assert {name for name in state if name not in trained} == {f"encoder.{DIGEST}"}
    fresh = Encoder(tiny("bert"), freeze=lowest)
    nn.ModuleDict({"encoder": fresh}).load_state_dict(state)
    assert all(torch.equal(fresh.state_dict()[name], tensor) for name, tensor in expected.items())
    fresh.load_state_dict(expected)  # a state of an earlier version, or of another program, is whole


def test_a_stored_state_is_refused_by_another_model(tiny):
    encoder, other = Encoder(tiny("bert"), freeze="all"), Encoder(tiny("bert", intermediate_size=44), freeze="all")
    state = encoder.state_dict()
    leave_out(encoder, state, "")
    with pytest.raises(RuntimeError, match=r"those of another model than model\.path now holds"):
        other.load_state_dict(state)
