"""Parameter groups of a classifier: by part, by depth, and by whether weight decay applies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")
Groups = list[dict[str, Any]]


def matrices(classifier: nn.Module) -> frozenset[str]:
    """Returns the names of the parameters with two axes or more: ask before a strategy cuts them into flat shards."""
    return frozenset(name for name, parameter in classifier.named_parameters() if parameter.ndim >= 2)


def parameter_groups(classifier: nn.Module, decayed: frozenset[str] | None = None, *, head_rate: float = 1.0) -> Groups:
    """Splits trainable parameters by part, depth and whether weight decay is for them.

    Biases, norms (all parameters of fewer than two axes) and everything in the normalizer are not decayed:
    ``weight_decay=0.0`` stands in their group, which any optimizer of torch obeys. ``depth`` counts from the output:
    0 for head, normalizer and pooler, 1 for the last layer, L for the first, L + 1 for the embeddings and whatever
    lies outside of the layers (final norms, relative position tables, ALBERT's shared layers).

    Args:
        classifier: Module with ``encoder``, ``normalizer`` and ``head``, whose parameters are split.
        decayed: What `matrices` returned; None asks now.
        head_rate: Factor of the head's learning rate: the key ``rate`` of its groups until `apply_rates` multiplies.

    Returns:
        Groups with the keys ``params``, ``name``, ``part``, ``depth``, ``rate`` where it is not 1, and ``weight_decay``
        where it is 0.
    """
    decayed = matrices(classifier) if decayed is None else decayed
    named = [(name, p) for name, p in classifier.named_parameters() if p.requires_grad]
    layers = count_layers(name for name, _ in named)
    groups: dict[tuple[str, int, bool], dict[str, Any]] = {}
    for name, parameter in named:
        part, depth = place(name, layers)
        decays = name in decayed and part != "normalizer"
        label = f"{part}/{depth}/{'decay' if decays else 'no_decay'}"
        group = {"params": [], "name": label, "part": part, "depth": depth} | ({} if decays else {"weight_decay": 0.0})
        group |= {"rate": head_rate} if part == "head" and head_rate != 1 else {}
        groups.setdefault((part, depth, decays), group)["params"].append(parameter)
    return list(groups.values())


def _layer_of(name: str) -> re.Match[str] | None:
    return _LAYER.search(name) if name.startswith("encoder.model.") else None


def is_layer(name: str) -> bool:
    """Tells whether a classifier's module of that name is one of its encoder's layers."""
    match = _layer_of(f"{name}.")
    return match is not None and match.end() > len(name)


def count_layers(names: Iterable[str]) -> int:
    """Returns the number of layers that a classifier's parameters are named after."""
    return 1 + max((int(match[1]) for name in names if (match := _layer_of(name))), default=-1)


def place(name: str, layers: int) -> tuple[str, int]:
    """Returns the part of the classifier that a parameter belongs to, and its depth as `parameter_groups` counts it."""
    if not name.startswith("encoder."):
        return name.split(".")[0], 0
    if name.startswith("encoder.pooler."):
        return "encoder", 0
    match = _layer_of(name)
    return "encoder", layers - int(match[1]) if match else layers + 1


def arrange(groups: Iterable[Any], *, lr: float, layer_decay: float, head_lr_factor: float) -> Groups | list[Tensor]:
    """Gives each group its learning rate and joins those that agree; plain tensors pass as they are."""
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
