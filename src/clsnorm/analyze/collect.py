"""One pass over the training split: a `Snapshot` of [CLS] at every place in a model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from clsnorm import distributed
from clsnorm.files import replacing
from clsnorm.model.places import places
from clsnorm.statistics import Collection, Snapshot

if TYPE_CHECKING:
    from clsnorm.batches import Batch
    from clsnorm.data import DataModule
    from clsnorm.model import Classifier

SAVE_EVERY = 30.0  # seconds between two copies of an unfinished pass

Snapshots = dict[str, Snapshot]


def collect(classifier: Classifier, data: DataModule, *, device: torch.device, draft: Path) -> Snapshots:
    """Returns the snapshots of the training split, the same for any number of processes and any batch size.

    Dropout is off. Memory does not grow with the rows, but for 8 bytes a row and place (norms, for exact percentiles).
    An interrupted pass goes on where it was: each process keeps its part in ``draft`` now and then. A draft counts
    batches, so it is of no use with another ``eval_batch_size``; the pass then starts anew.

    Args:
        classifier: Moved to ``device``; its mode is left as it came.
        data: Prepared data.
        device: Where to compute.
        draft: File for unfinished work; a number is added on each process. The caller removes it when it has saved
            the snapshots.

    Raises:
        RuntimeError: If the rows that were seen are not those of the training split.
    """
    draft = draft.with_suffix(f".{distributed.rank()}of{distributed.world_size()}.pt")
    collection = Collection(classifier.encoder.dim, num_classes=0 if data.regression else data.num_outputs)
    start = _load(draft, collection, data.eval_batch_size) if draft.exists() else 0
    loader = data.calibration_dataloader()
    loader.batches.resume_at(0, start)
    classifier.to(device)
    saved = time.monotonic()
    with classifier.evaluating():
        for number, batch in _watched(loader, start):
            collection.update(places(classifier, batch.to(device)), batch.labels, batch.example_ids)
            if time.monotonic() - saved > SAVE_EVERY:
                _save(draft, collection, number + 1, data.eval_batch_size)
                saved = time.monotonic()
    collection.all_reduce()
    _check_complete(collection.snapshots, data.train_size)
    return collection.snapshots


def _check_complete(snapshots: Snapshots, size: int) -> None:
    for place, snapshot in snapshots.items():
        if (seen := snapshot.count + snapshot.not_finite) != size:
            raise RuntimeError(f"{place}: {seen} rows were seen of {size} in the training split")


def _watched(loader: Any, start: int) -> Iterator[tuple[int, Batch]]:
    quiet = distributed.rank() != 0
    bar = tqdm(loader, desc="Analyzing", total=len(loader), initial=start, leave=False, disable=quiet)
    return enumerate(bar, start)


def _save(draft: Path, collection: Collection, batches: int, batch_size: int) -> None:
    with replacing(draft) as path:
        torch.save({"batch_size": batch_size, "batches": batches, "snapshots": collection.state_dict()}, path)


def _load(draft: Path, collection: Collection, batch_size: int) -> int:
    """Takes over a draft and returns how many batches it holds; none if they were of another size."""
    kept = torch.load(draft, weights_only=True)
    if kept["batch_size"] != batch_size:
        return 0
    collection.load_state_dict(kept["snapshots"])
    return int(kept["batches"])
