"""The places in a classifier where [CLS] can be observed, by name."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from clsnorm.batches import Batch
from clsnorm.model.classifier import Classifier
from clsnorm.model.encoder.encoder import Embeddings


def taps(embeddings: Embeddings) -> dict[str, Tensor]:
    """Returns [CLS] inside the encoder, ``(B, d)`` by place; ``embeddings`` must include the layers.

    ``layer00`` (after the embedding layer: the same for all texts), ``layer01``, ..., then ``pooler_pre`` and
    ``pooler`` if the encoder has a pooler. The last layer is the tap ``hidden``.
    """
    assert embeddings.layers is not None
    found = {f"layer{number:02d}": state for number, state in enumerate(embeddings.layers)}
    for name in ("pooler_pre", "pooler"):
        if (state := getattr(embeddings, name)) is not None:
            found[name] = state
    return found


def places(classifier: Classifier, batch: Batch) -> dict[str, Tensor]:
    """Returns the `taps` of the encoder, and ``z`` after the normalizer, unless the normalizer returns its input."""
    embeddings = classifier.encoder(batch, layers=True)
    found = taps(embeddings)
    z = classifier.normalizer(embeddings.cls)
    return found if z is embeddings.cls else {**found, "z": z}


def last_layer(found: Iterable[str]) -> str:
    """Returns the name of the last layer among places."""
    return max(name for name in found if name.startswith("layer"))


def head_input(classifier: Classifier, found: Collection[str]) -> str:
    """Returns which of the `places` is the head's input."""
    if "z" in found:
        return "z"
    tap = classifier.encoder.tap
    return last_layer(found) if tap == "hidden" else tap


@contextlib.contextmanager
def tapping(encoder: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Makes the encoder return all layers in a ``with`` block, and yields the `taps` of its last call.

    It uses hooks, because under a strategy that shards parameters the encoder must not be called directly.
    """
    found: dict[str, Tensor] = {}

    def ask(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**kwargs, "layers": True}

    def take(module: nn.Module, args: Any, embeddings: Embeddings) -> None:
        found.clear()
        found.update(taps(embeddings))

    handles = [encoder.register_forward_pre_hook(ask, with_kwargs=True), encoder.register_forward_hook(take)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
