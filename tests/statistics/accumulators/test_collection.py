"""Snapshots by place."""

from __future__ import annotations

import torch
from rows import C, D, embeddings, filled

from clsnorm.statistics import Collection, describe


def test_places_are_filled_together_and_added_with_their_first_rows() -> None:
    rows, labels = embeddings()
    collection = Collection(D, num_classes=C, places=["h"])
    h, y, ids = torch.from_numpy(rows), torch.from_numpy(labels), torch.arange(len(rows))
    collection.update({"h": h, "z": 2 * h}, y, ids)
    collection.all_reduce()
    again = Collection(D, num_classes=C)
    again.load_state_dict(collection.state_dict())
    assert list(again.snapshots) == ["h", "z"]
    assert describe(again.snapshots["h"]) == describe(filled(rows, labels))
    assert describe(again.snapshots["z"]) == describe(filled(2 * rows, labels))
