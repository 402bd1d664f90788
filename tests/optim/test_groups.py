"""Parameter groups: each parameter once, by part and depth, with its weight decay."""

import torch
from torch import nn

from clsnorm.optim.groups import count_layers, is_layer, parameter_groups


def test_groups_hold_each_parameter_once_and_do_not_decay_norms_biases_and_normalizers(classifier):
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


def test_layers_are_counted_by_the_names_of_their_parameters(classifier):
    names = [name for name, _ in classifier.named_parameters()]
    assert count_layers(names) == 3
    layers = [name for name, _ in classifier.named_modules() if is_layer(name)]
    assert layers == [f"encoder.model.encoder.layer.{number}" for number in range(3)]


def test_single_parameters_get_rates_of_their_own(classifier):
    rates = {"head.bias": 3.0, "normalizer.weight": 0.5}
    groups = parameter_groups(classifier, rates=rates)
    assert sum(len(group["params"]) for group in groups) == len(list(classifier.parameters()))
    factor = {id(p): group.get("rate", 1.0) for group in groups for p in group["params"]}
    assert {name: factor[id(p)] for name, p in classifier.named_parameters()} == {
        name: rates.get(name, 1.0) for name, _ in classifier.named_parameters()
    }
