"""Parameter groups of a classifier, by part, depth and weight decay, and the learning rate of each.

A parameter's own factor has one path: `parameter_groups` puts it into the parameter's group as ``rate``, optimizers
pass it on, and `apply_rates` multiplies the learning rates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from clsnorm.errors import require_fraction, require_positive

_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")
Groups = list[dict[str, Any]]


def matrices(classifier: nn.Module) -> frozenset[str]:
    """Returns the names of parameters with two or more axes. Call it before a strategy flattens them into shards."""
    return frozenset(name for name, parameter in classifier.named_parameters() if parameter.ndim >= 2)


def parameter_groups(
    classifier: nn.Module, decayed: frozenset[str] | None = None, *, rates: Mapping[str, float] | None = None
) -> Groups:
    """Splits trainable parameters by part, depth, own rate and whether weight decay applies to them.

    Biases, norms (all parameters with fewer than two axes) and everything in the normalizer are not decayed: their
    groups have ``weight_decay=0.0``, which all optimizers of torch respect. ``depth`` counts from the output: 0 for
    head, normalizer and pooler, 1 for the last layer, L for the first, L + 1 for the embeddings and everything else
    outside of the layers (final norms, relative position tables, ALBERT's shared layers).

    Args:
        classifier: Module with ``encoder``, ``normalizer`` and ``head``, or some of them.
        decayed: The value of `matrices`; None: computed now.
        rates: Factors of the learning rates of single parameters, by name; 1 for those not named. A factor is the key
            ``rate`` of a group until `apply_rates` multiplies.

    Returns:
        Groups with the keys ``params``, ``name``, ``part``, ``depth``, ``rate`` if it is not 1, and ``weight_decay``
        if it is 0.
    """
    decayed, rates = matrices(classifier) if decayed is None else decayed, rates or {}
    named = [(name, p) for name, p in classifier.named_parameters() if p.requires_grad]
    layers = count_layers(name for name, _ in named)
    groups: dict[tuple[str, int, bool, float], dict[str, Any]] = {}
    for name, parameter in named:
        part, depth = place(name, layers)
        decays, own = name in decayed and part != "normalizer", (rates or {}).get(name, 1.0)
        label = f"{part}/{depth}/{'decay' if decays else 'no_decay'}"
        group = {"params": [], "name": label, "part": part, "depth": depth} | ({} if decays else {"weight_decay": 0.0})
        group |= {"rate": own} if own != 1 else {}
        groups.setdefault((part, depth, decays, own), group)["params"].append(parameter)
    return list(groups.values())


def _layer_of(name: str) -> re.Match[str] | None:
    return _LAYER.search(name) if name.startswith("encoder.model.") else None


def is_layer(name: str) -> bool:
    """Returns whether a classifier's module of this name is a layer of its encoder."""
    match = _layer_of(f"{name}.")
    return match is not None and match.end() > len(name)


def count_layers(names: Iterable[str]) -> int:
    """Returns the number of layers, from the names of a classifier's parameters."""
    return 1 + max((int(match[1]) for name in names if (match := _layer_of(name))), default=-1)


def place(name: str, layers: int) -> tuple[str, int]:
    """Returns the part of the classifier that a parameter belongs to, and its depth as in `parameter_groups`."""
    if not name.startswith("encoder."):
        return name.split(".")[0], 0
    if name.startswith("encoder.pooler."):
        return "encoder", 0
    match = _layer_of(name)
    return "encoder", layers - int(match[1]) if match else layers + 1


def arrange(groups: Iterable[Any], *, lr: float, layer_decay: float, head_lr_factor: float) -> Groups | list[Tensor]:
    r"""Sets each group's learning rate and joins groups with equal options; plain tensors are returned unchanged.

    A group at ``depth`` k learns at :math:`\text{lr} \cdot \text{layer\_decay}^k`: the head at the full rate, the last
    of L layers at ``layer_decay`` times that rate, the embeddings at ``layer_decay`` to the power of L + 1 times it
    (Howard and Ruder, 2018, https://arxiv.org/abs/1801.06146).

    Args:
        groups: What `parameter_groups` returns, or plain parameters.
        lr: Learning rate at the head.
        layer_decay: Factor from layer to layer; 1 trains all layers at the same rate.
        head_lr_factor: The head's learning rate over ``lr``.

    Raises:
        InputError: If a rate or factor is out of range.
    """
    require_positive("optimizer.lr", lr, advice="A usual rate of AdamW is 2e-5, of SGD 1e-2")
    advice = "Set optimizer.layer_decay=1 for the same rate in all layers"
    require_fraction("optimizer.layer_decay", layer_decay, meaning="a factor", advice=advice)
    require_positive("optimizer.head_lr_factor", head_lr_factor, advice="Set optimizer.head_lr_factor=1")
    given = list(groups)
    if not all(isinstance(group, dict) and "depth" in group for group in given):
        return given
    joined: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group in given:
        rate = lr * layer_decay ** group["depth"] * (head_lr_factor if group["part"] == "head" else 1.0)
        kept = {key: group[key] for key in ("rate", "weight_decay") if key in group}
        fresh = {"params": [], "name": group["name"], "lr": rate} | kept
        joined.setdefault((rate, *kept.items()), fresh)["params"].extend(group["params"])
    return list(joined.values())


def apply_rates(optimizer: torch.optim.Optimizer) -> None:
    """Multiplies the learning rate of each group by its key ``rate`` and removes the key.

    Optimizers, those of this package and any other, keep the key and ignore it.
    """
    for group in optimizer.param_groups:
        group["lr"] *= group.pop("rate", 1.0)
