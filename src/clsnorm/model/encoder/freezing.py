"""Freezing: the encoder, or its lowest layers, stay as loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from clsnorm.errors import InputError, refuse, require_whole

if TYPE_CHECKING:
    from clsnorm.model.encoder.encoder import Encoder

ALL = "all"
DIGEST = "frozen_digest"  # in a stored state
ADVICE = "Set model.freeze=null to train all layers, or model.freeze=all to train none"


def freeze(encoder: Encoder, lowest: int | str | None) -> list[nn.Module]:
    """Freezes ``encoder`` or its lowest layers in place.

    A frozen parameter requires no gradient. As nothing below the first trainable layer requires one, autograd records
    nothing there and stores no activations.

    Args:
        encoder: The encoder.
        lowest: ``all``; or a number of layers, the embedding layer included: 1 freezes the embedding layer, 2 also the
            first layer. What lies outside the layers, such as tables of relative positions, belongs to the embedding
            layer, but for the norm that outputs the last hidden state, and the pooler. None: nothing is frozen.

    Returns:
        The modules that are frozen as a whole: their dropout has to be off.

    Raises:
        InputError: If ``lowest`` is out of range, or the family's layers are not separate modules.
    """
    if lowest is None:
        return []
    if lowest == ALL:
        encoder.requires_grad_(False)
        return list(encoder.children())
    _require(lowest, encoder)
    layers, model = encoder.layers(), encoder.model
    upper = [*layers, *([norm] if (norm := encoder.output_norm()) is not None else [])]
    trained = {id(parameter) for module in upper for parameter in module.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    for layer in layers[: int(lowest) - 1]:
        layer.requires_grad_(False)
    return list(_frozen_wholes(model))


def _require(lowest: int | str, encoder: Encoder) -> None:
    if isinstance(lowest, str):
        refuse("model.freeze", "all, a number of layers or null", lowest, ADVICE)
    advice = f"It counts the embedding layer. {ADVICE}"
    require_whole("model.freeze", lowest, least=1, most=encoder.depth, advice=advice)
    found = len(encoder.layers())
    if not found or (lowest > 1 and found != encoder.depth):
        kind = encoder.model.config.model_type
        what = "share their weights" if found else "are not known"
        raise InputError(
            f"Expected layers that can be frozen one by one for model.freeze={lowest}, but those of the family "
            f"{kind!r} {what}. {ADVICE}"
        )


def _frozen_wholes(module: nn.Module) -> Iterator[nn.Module]:
    """Yields the largest modules inside ``module``, itself included, that have parameters, all of them frozen."""
    needs = [parameter.requires_grad for parameter in module.parameters()]
    if needs and not any(needs):
        yield module
    elif needs:
        for child in module.children():
            yield from _frozen_wholes(child)


def leave_out(encoder: Encoder, state: dict[str, Any], prefix: str) -> None:
    """Removes what is frozen from the ``state`` of a module that holds ``encoder`` at ``prefix``, before it is stored.

    A digest of the encoder as loaded takes its place. `add_frozen` puts the values back when such a state is loaded.
    """
    for name in _frozen_names(encoder):
        state.pop(f"{prefix}{name}", None)
    state[f"{prefix}{DIGEST}"] = _digest(encoder)


def add_frozen(encoder: Encoder, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Adds what `leave_out` removed to a state that is about to be loaded: a hook before torch's ``load_state_dict``.

    Raises:
        RuntimeError: If the values belong to another encoder than this one.
    """
    stored = state.pop(f"{prefix}{DIGEST}", None)
    if stored is None:
        return
    if not torch.equal(stored.cpu(), _digest(encoder)):
        raise RuntimeError("its frozen layers are those of another model than model.path now holds")
    own = encoder.state_dict()
    for name in _frozen_names(encoder):
        state.setdefault(f"{prefix}{name}", own[name])


def _frozen_names(encoder: Encoder) -> list[str]:
    if encoder.is_frozen:
        return list(encoder.state_dict())
    return [name for name, parameter in encoder.named_parameters() if not parameter.requires_grad]


def _digest(encoder: Encoder) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(encoder.fingerprint()), dtype=torch.uint8)


def described(count: int, depth: int) -> str:
    """Returns in words which layers are frozen, of ``count`` with the embedding layer; empty if none is."""
    if not count:
        return ""
    if count > depth:
        return "the whole encoder"
    more = {1: "", 2: " and layer 1"}.get(count, f" and layers 1 to {count - 1}")
    return f"the embedding layer{more} of {depth}"


def count_trained(module: nn.Module) -> tuple[int, int]:
    """Returns how many values of a module's parameters are trained, and how many there are."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)
