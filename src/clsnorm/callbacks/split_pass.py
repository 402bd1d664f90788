"""`SplitPass`: what one pass over a split says of [CLS]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from clsnorm.batches import Batch
from clsnorm.model import Classifier
from clsnorm.model.places import tapping
from clsnorm.normalizers import Normalizer
from clsnorm.statistics import Collection

Loaders = Sequence[Iterable[Batch]]


class SplitPass:
    """Collects the first ``max_examples`` of a split: the same ones each time, in whole batches, from its start.

    Args:
        dim: Dimensions of an embedding.
        num_classes: Number of classes; 0 for regression.
        max_examples: How many examples, over all processes; None: all.
        points: Outputs of a step to collect, such as ``h``.
        normalizer: Whose staleness is to be measured; None: no one's.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_classes: int,
        max_examples: int | None,
        points: Sequence[str],
        normalizer: Normalizer | None = None,
    ) -> None:
        self.collection = Collection(dim, num_classes=num_classes, places=points)
        self._points = points
        self._max_examples = math.inf if max_examples is None else max_examples
        self._seen = 0
        self._normalizer: Any = normalizer
        kind = None if normalizer is None else normalizer.calibration
        self._current = None if kind is None else kind(dim)

    @property
    def is_full(self) -> bool:
        """Whether no more examples are wanted, on all processes alike."""
        return self._seen >= self._max_examples

    def update(self, outputs: Mapping[str, Tensor], batch: Batch, taps: Mapping[str, Tensor] | None = None) -> None:
        """Adds a batch: the outputs of its step, and what taps of the encoder gave, ``(B, dim)`` by place."""
        if self.is_full:
            return
        self._seen += batch.global_size  # counted over all ranks: they stop at the same batch
        embeddings = {point: outputs[point] for point in self._points} | dict(taps or {})
        self.collection.update(embeddings, outputs["labels"], outputs["example_ids"])
        if self._current is not None:
            self._current.update(outputs["h"])

    def walk(
        self,
        loaders: Loaders,
        step: Callable[..., Any],
        classifier: Classifier,
        *,
        device: torch.device,
        layers: bool,
    ) -> None:
        """Goes over a split by itself, without dropout.

        Args:
            loaders: Of the split's parts.
            step: A strategy's validation or test step: one that shards parameters must see the call.
            classifier: What the step calls.
            device: Where it is.
            layers: Whether to take the taps of its encoder, too.
        """
        listening: AbstractContextManager[dict[str, Tensor]] = (
            tapping(classifier.encoder) if layers else nullcontext({})
        )
        with classifier.evaluating(), listening as taps:
            for part, loader in enumerate(loaders):
                for number, batch in enumerate(loader):
                    if self.is_full:
                        break
                    outputs = step(batch.to(device), number, *([part] if len(loaders) > 1 else []))
                    self.update(outputs, batch, taps)

    def all_reduce(self) -> None:
        """Joins what all processes have seen. Collective."""
        self.collection.all_reduce()
        if self._current is not None:
            self._current.all_reduce()

    def staleness(self) -> dict[str, float]:
        """Returns how far h has moved since the normalizer was calibrated; nothing for one that is not calibrated."""
        if self._current is None:
            return {}
        moved = self._normalizer.staleness(self._current) if self._current.is_finite() else (math.nan, math.nan)
        return dict(zip(("shift", "stretch"), moved, strict=True))
