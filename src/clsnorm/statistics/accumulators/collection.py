"""`Collection`: one `Snapshot` for each of several places, filled together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from clsnorm.distributed import gather_objects
from clsnorm.statistics.accumulators.snapshot import Snapshot


class Collection:
    """Snapshots by place, all of the same dimension and the same examples.

    Args:
        dim: Dimensions of an embedding.
        num_classes: Number of classes; 0 for regression.
        places: Places known from the start; others are added with their first rows.

    Attributes:
        snapshots: By place.
    """

    def __init__(self, dim: int, *, num_classes: int, places: Iterable[str] = ()) -> None:
        self._dim, self._num_classes = dim, num_classes
        self.snapshots: dict[str, Snapshot] = {place: self._empty() for place in places}

    def update(self, embeddings: Mapping[str, Tensor], labels: Tensor, ids: Tensor) -> None:
        """Adds embeddings ``(n, dim)`` by place, with labels ``(n,)`` and example ids ``(n,)``."""
        for place, rows in embeddings.items():
            self._at(place).update(rows, labels, ids)

    def all_reduce(self) -> None:
        """Merges the snapshots of all processes, including those without rows. Collective; call it once."""
        for place in sorted({place for places in gather_objects(list(self.snapshots)) for place in places}):
            self._at(place).all_reduce()

    def state_dict(self) -> dict[str, Any]:
        """Returns the accumulators by place."""
        return {place: snapshot.state_dict() for place, snapshot in self.snapshots.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Loads what `state_dict` returned."""
        for place, part in state.items():
            self._at(place).load_state_dict(part)

    def _at(self, place: str) -> Snapshot:
        if place not in self.snapshots:
            self.snapshots[place] = self._empty()
        return self.snapshots[place]

    def _empty(self) -> Snapshot:
        return Snapshot(self._dim, num_classes=self._num_classes)
