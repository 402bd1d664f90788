"""`SplitPass`: what one pass over a split says of [CLS]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clsnorm.batches import Batch
from clsnorm.model import Classifier
from clsnorm.model.places import tapping
from clsnorm.normalizers import Normalizer
from clsnorm.statistics import Collection, hashed


def fixed_rows(ids: np.ndarray, size: int | None) -> np.ndarray:
    """Returns the places of the ``size`` example ids with the smallest hashes, ascending; of all ids if None.

    A random sample that depends on the ids alone: many splits are ordered by class, so that a beginning is biased.
    """
    return np.sort(np.argsort(hashed(ids), kind="stable")[:size])


class SplitPass:
    """Collects chosen examples of a split, whatever batches they come in and on whichever process.

    Args:
        dim: Dimensions of an embedding.
        num_classes: Number of classes; 0 for regression.
        ids: Those of the chosen examples, ``(n,)``.
        points: Outputs of a step to collect, such as ``h``.
        normalizer: Whose staleness is to be measured; None: no one's.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_classes: int,
        ids: np.ndarray,
        points: Sequence[str],
        normalizer: Normalizer | None = None,
    ) -> None:
        self.collection = Collection(dim, num_classes=num_classes, places=points)
        self._points = points
        self._ids = torch.from_numpy(ids)
        self._normalizer: Any = normalizer
        kind = None if normalizer is None else normalizer.calibration
        self._current = None if kind is None else kind(dim)

    def update(self, outputs: Mapping[str, Tensor], taps: Mapping[str, Tensor] | None = None) -> None:
        """Adds a batch: the outputs of its step, and what taps of the encoder gave, ``(B, dim)`` by place."""
        self._ids = self._ids.to(outputs["example_ids"].device)
        chosen = torch.isin(outputs["example_ids"], self._ids)
        embeddings = {point: outputs[point] for point in self._points} | dict(taps or {})
        rows = {place: embedding[chosen] for place, embedding in embeddings.items()}
        self.collection.update(rows, outputs["labels"][chosen], outputs["example_ids"][chosen])
        if self._current is not None:
            self._current.update(outputs["h"][chosen])

    def walk(
        self,
        loader: Iterable[Batch],
        step: Callable[..., Any],
        classifier: Classifier,
        *,
        device: torch.device,
        layers: bool,
    ) -> None:
        """Goes over examples by itself, without dropout.

        Args:
            loader: Gives them.
            step: A strategy's validation or test step: one that shards parameters must see the call.
            classifier: What the step calls.
            device: Where it is.
            layers: Whether to take the taps of its encoder, too.
        """
        listening: AbstractContextManager[dict[str, Tensor]] = (
            tapping(classifier.encoder) if layers else nullcontext({})
        )
        with classifier.evaluating(), listening as taps:
            for number, batch in enumerate(loader):
                self.update(step(batch.to(device), number), taps)

    def all_reduce(self) -> None:
        """Joins what all processes have seen. Collective."""
        self.collection.all_reduce()
        if self._current is not None:
            self._current.all_reduce()

    def staleness(self) -> dict[str, float]:
        """Returns how far h has moved since the normalizer was calibrated; nothing for one that is not calibrated."""
        if self._current is None:
            return {}
        moved: dict[str, float] = self._normalizer.staleness(self._current)
        return moved if self._current.is_finite() else dict.fromkeys(moved, math.nan)
