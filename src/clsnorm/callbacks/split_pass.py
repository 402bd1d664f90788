"""`SplitPass`: statistics of [CLS] from one pass over a split."""

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
    """Returns the indices of the ``size`` example ids with the smallest hashes, ascending; of all ids if None.

    A random sample that depends only on the ids: many splits are sorted by class, so that their first rows are biased.
    """
    return np.sort(np.argsort(hashed(ids), kind="stable")[:size])


class SplitPass:
    """Collects chosen examples of a split, independent of how they are batched and distributed over processes.

    Args:
        dim: Dimensions of an embedding.
        num_classes: Number of classes; 0 for regression.
        ids: The ids of the chosen examples, ``(n,)``.
        points: Outputs of a step to collect, such as ``h``.
        normalizer: A normalizer whose staleness to measure, or None.
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
        """Adds a batch: the outputs of its step, and the encoder's taps, ``(B, dim)`` by place."""
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
        """Runs the examples of ``loader`` through the classifier, without dropout, and adds them.

        Args:
            loader: Batches of examples.
            step: The strategy's validation or test step: with sharded parameters the call must go through it.
            classifier: The classifier that the step calls.
            device: Its device.
            layers: Whether to add the taps of its encoder, too.
        """
        listening: AbstractContextManager[dict[str, Tensor]] = (
            tapping(classifier.encoder) if layers else nullcontext({})
        )
        with classifier.evaluating(), listening as taps:
            for number, batch in enumerate(loader):
                self.update(step(batch.to(device), number), taps)

    def all_reduce(self) -> None:
        """Adds up what all processes have collected. Collective."""
        self.collection.all_reduce()
        if self._current is not None:
            self._current.all_reduce()

    def staleness(self) -> dict[str, float]:
        """Returns how far h has moved since the normalizer was calibrated; empty if it needs no calibration."""
        if self._current is None:
            return {}
        moved: dict[str, float] = self._normalizer.staleness(self._current)
        return moved if self._current.is_finite() else dict.fromkeys(moved, math.nan)
