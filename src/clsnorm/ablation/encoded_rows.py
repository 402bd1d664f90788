"""Embeddings of a split, computed once and cached, and statistics of [CLS] at every place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from clsnorm.cache import Cache, cache_key
from clsnorm.errors import DamagedFileError
from clsnorm.model.places import taps
from clsnorm.progress import ProgressBar
from clsnorm.statistics import Collection, Snapshot
from clsnorm.tensor_files import load_tensors, save_tensors

if TYPE_CHECKING:
    from clsnorm.batches import Batch
    from clsnorm.model import Classifier

FORMAT = 2  # raise it when the content of an entry changes, in its last bits too
STATE = "state.pt"


@dataclass(frozen=True)
class EncodedRows:
    """The rows of a split, in the order of the data.

    Attributes:
        h: Embeddings at the encoder's tap, ``(n, d)``, float32.
        labels: ``(n,)``.
        ids: Example ids, ``(n,)``.
        places: Statistics of the [CLS] embeddings at each layer and pooler; empty if they were not requested.
    """

    h: Tensor
    labels: Tensor
    ids: Tensor
    places: dict[str, Snapshot]


class RowCache:
    """Encodes splits, once: later calls and later commands read the cache.

    Args:
        cache: Where entries are stored.
        device: Of the forward passes, and of what is returned.
        key: What the embeddings depend on: digests of weights and data, the options of batches.
    """

    def __init__(self, cache: Cache, device: torch.device, key: dict[str, Any]) -> None:
        self._cache, self._device, self._key = cache, device, key

    def get(
        self, name: str, classifier: Classifier, batches: Iterable[Batch], *, places: bool, about: Any = None
    ) -> EncodedRows:
        """Returns the encoded rows of ``batches``, in eval mode.

        Args:
            name: Of the pass, such as a split's: for messages and for the entry.
            classifier: Moved to the device.
            batches: A loader.
            places: Whether to take statistics at every place.
            about: Further plain values on which the pass depends.
        """
        key = cache_key({**self._key, "format": FORMAT, "name": name, "places": places, "about": about})
        state = self._read(key)
        if state is None:
            state = self._encode(name, classifier, batches, places=places)
            with self._cache.draft(key) as (folder, _):
                save_tensors(folder / STATE, state)
        return _restored(state, self._device)

    def _read(self, key: str) -> dict[str, Any] | None:
        entry = self._cache.get(key)
        try:
            return None if entry is None else load_tensors(entry[0] / STATE)
        except DamagedFileError:
            return None

    def _encode(self, name: str, classifier: Classifier, batches: Iterable[Batch], *, places: bool) -> dict[str, Any]:
        classifier.to(self._device)
        collection = Collection(classifier.encoder.dim, num_classes=0)
        columns: dict[str, list[Tensor]] = {"h": [], "labels": [], "ids": []}
        with classifier.evaluating():
            for batch in ProgressBar(batches, what=f"Encoding {name}"):
                embeddings = classifier.encoder(batch.to(self._device), layers=places)
                if places:
                    collection.update(taps(embeddings), batch.labels, batch.example_ids)
                for column, values in zip(columns, (embeddings.cls, batch.labels, batch.example_ids), strict=True):
                    columns[column].append(values.cpu())
        joined = {column: torch.cat(values) for column, values in columns.items()}
        return {**joined, "places": collection.state_dict() if places else {}}


def _restored(state: dict[str, Any], device: torch.device) -> EncodedRows:
    collection = Collection(state["h"].shape[1], num_classes=0)
    if state["places"]:
        collection.load_state_dict(state["places"])
    return EncodedRows(state["h"].to(device), state["labels"].to(device), state["ids"].to(device), collection.snapshots)
