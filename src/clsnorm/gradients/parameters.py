"""Norms of parameters, gradients and updates by part of the model, with one kernel and one transfer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from clsnorm.distributed import all_reduce_sum
from clsnorm.optim.groups import count_layers, place

_KINDS = (("norm", re.compile(r"norm", re.IGNORECASE)), ("attention", re.compile(r"att(entio)?n", re.IGNORECASE)))


def part_names(names: Iterable[str]) -> dict[str, str]:
    """Returns the part that each of a classifier's parameters belongs to.

    ``embeddings`` (and everything else outside of the layers), ``layer01/attention``, ``layer01/ffn``,
    ``layer01/norm``, ..., ``pooler``, ``normalizer``, ``head``. Layers count from the input, from 1.
    """
    names = list(names)
    layers = count_layers(names)
    return {name: _part(name, layers) for name in names}


def _part(name: str, layers: int) -> str:
    part, depth = place(name, layers)
    if part != "encoder":
        return part
    if depth == 0:
        return "pooler"
    if depth > layers:
        return "embeddings"
    kind = next((kind for kind, pattern in _KINDS if pattern.search(name)), "ffn")
    return f"layer{layers + 1 - depth:02d}/{kind}"


class ParameterNorms:
    """Euclidean norms over the parts of a classifier.

    If the parameters are sharded, each process computes the squares of its shards, and these are summed over all
    processes; the norms are collective then.

    Each method returns the norms of all parts, and as last number that of the encoder's body: all its parameters but
    those of the layer norm that outputs its last hidden state.

    Args:
        classifier: The owner of the trainable parameters. Pass it before its first forward pass, which may replace
            shards by gathered parameters.
        last_norm: That layer norm; None: the body is the whole encoder.

    Attributes:
        parts: Names of the parts.
    """

    def __init__(self, classifier: nn.Module, last_norm: nn.Module | None = None) -> None:
        named = [(name, p) for name, p in classifier.named_parameters() if p.requires_grad]
        parts = part_names(name for name, _ in named)
        self.parts = sorted(set(parts.values()))
        self.parameters = [p for _, p in named]
        self._kept: list[Tensor] = []
        self._sharded = any(isinstance(p, DTensor) for p in self.parameters)
        self._index = torch.tensor([self.parts.index(parts[name]) for name, _ in named])
        outer = {id(p) for p in last_norm.parameters()} if last_norm is not None else set()
        body = [n for n, (name, p) in enumerate(named) if name.startswith("encoder.") and id(p) not in outer]
        self._body = torch.tensor(body, dtype=torch.int64)

    def of_weights(self) -> Tensor:
        """Returns the norm of each part's parameters and the body's, ``(len(parts) + 1,)``, on their device."""
        return self.of_parts(_norms(self._weights()))

    def of_gradients(self) -> Tensor:
        """Returns the norm of each part's gradients; a parameter without a gradient counts as zero."""
        return self.of_parts(self.of_each_gradient())

    def of_each_gradient(self) -> list[Tensor]:
        """Returns the norm of each parameter's gradient, of this process's shards if the parameters are sharded."""
        return _norms([_nothing(p) if p.grad is None else _own(p.grad) for p in self.parameters])

    def of_parts(self, each: list[Tensor]) -> Tensor:
        """Returns the norm of each part and the body's, from one norm for each of ``parameters``."""
        norms = torch.stack(each).double()
        squares = torch.zeros(len(self.parts) + 1, dtype=norms.dtype, device=norms.device)
        squares.index_add_(0, self._index.to(norms.device), norms.square())
        squares[-1] = norms[self._body.to(norms.device)].square().sum()
        return (all_reduce_sum(squares) if self._sharded else squares).sqrt()

    def keep_weights(self) -> None:
        """Copies the parameters for `of_updates`."""
        weights = self._weights()
        if not self._kept:
            # Allocated once: on a CPU, new memory costs several times as much as the copy.
            self._kept = [torch.empty_like(weight) for weight in weights]
        torch._foreach_copy_(self._kept, weights)

    def of_updates(self) -> Tensor:
        """Returns the norm of each part's change since `keep_weights`, and overwrites that copy."""
        torch._foreach_sub_(self._kept, self._weights())
        return self.of_parts(_norms(self._kept))

    def numbers(self, raw: Tensor, clipped: Tensor, weights: Tensor, updates: Tensor | None) -> dict[str, float]:
        """Returns the logged numbers of a step, from norms of parts and body on the host.

        ``grad/parameters/...`` and ``grad/clipped/...`` (before and after clipping) of each part, ``body`` and
        ``total``; ``grad/clip_coefficient``, the latter total over the former, 1 if nothing was clipped;
        ``grad/depth/...`` (`depth_profile`); and ``grad/update_ratio/...`` of each part, unless ``updates`` is None.
        """
        numbers = {f"grad/depth/{name}": value for name, value in depth_profile(self.by_name(raw)).items()}
        for kind, norms in (("parameters", raw), ("clipped", clipped)):
            numbers |= {f"grad/{kind}/{name}": norm for name, norm in self.by_name(norms).items()}
        numbers["grad/clip_coefficient"] = float(clipped[:-1].norm() / raw[:-1].norm())
        if updates is not None:
            ratios = torch.where(weights > 0, updates / weights, torch.nan)
            names = [*self.parts, "body"]
            numbers |= {f"grad/update_ratio/{p}": r for p, r in zip(names, ratios.tolist(), strict=True)}
        return numbers

    def by_name(self, norms: Tensor) -> dict[str, float]:
        """Returns norms that are on the host by the names of their parts, with ``body`` and ``total``."""
        names = [*self.parts, "body"]
        return {**dict(zip(names, norms.tolist(), strict=True)), "total": float(norms[:-1].norm())}

    def _weights(self) -> list[Tensor]:
        return [_own(p) for p in self.parameters]


def _own(tensor: Tensor) -> Tensor:
    """Returns this process's shard of a tensor, or the whole tensor if it is not sharded."""
    tensor = tensor.detach()
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _norms(tensors: list[Tensor]) -> list[Tensor]:
    return list(torch._foreach_norm(tensors))


def _nothing(parameter: Tensor) -> Tensor:
    return torch.zeros((), dtype=parameter.dtype, device=parameter.device)


def depth_profile(norms: dict[str, float]) -> dict[str, float]:
    """Returns how gradients change from the output to the input of the encoder.

    - ``bottom``: norm of the first layer's gradients; NaN without layers.
    - ``bottom_to_top``: the same over the norm of the last layer's gradients. 0 if no gradient reaches the first layer;
      NaN if none reaches the last layer either, or with fewer than two layers.
    - ``log_slope``: slope of the natural logarithm of the layers' norms over their number, by least squares; positive
      if gradients shrink toward the input (Mosbach et al., 2021, figure 4: failed runs have gradients only in the top
      layers). NaN if a layer's norm is 0.

    Args:
        norms: Norm of each part's gradients, with the names of `part_names`.
    """
    layers: dict[str, float] = {}
    for part, norm in norms.items():
        if part.startswith("layer"):
            layer = part.partition("/")[0]
            layers[layer] = layers.get(layer, 0.0) + norm**2
    values = torch.tensor([layers[name] for name in sorted(layers)], dtype=torch.float64).sqrt()
    bottom, top = (float(values[0]), float(values[-1])) if len(values) else (math.nan, math.nan)
    ratio = bottom / top if len(values) > 1 and top else math.nan
    return {"bottom": bottom, "bottom_to_top": ratio, "log_slope": _log_slope(values)}


def _log_slope(values: Tensor) -> float:
    if len(values) < 2 or not bool((values > 0).all()):
        return math.nan
    place_of = torch.arange(len(values), dtype=torch.float64)
    centred = place_of - place_of.mean()
    return float((centred * values.log()).sum() / centred.square().sum())
