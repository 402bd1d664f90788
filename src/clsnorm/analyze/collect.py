"""One pass over the training split: a `Snapshot` of [CLS] at every place in a model."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from clsnorm import distributed
from clsnorm.analyze.snapshots import Snapshots
from clsnorm.errors import DamagedFileError
from clsnorm.model.places import places
from clsnorm.progress import ProgressBar
from clsnorm.statistics import Collection
from clsnorm.tensor_files import load_tensors, save_tensors

if TYPE_CHECKING:
    from clsnorm.batches import Batch
    from clsnorm.data import DataModule
    from clsnorm.model import Classifier

log = logging.getLogger(__name__)
SAVE_EVERY = 30.0  # seconds between two drafts of an unfinished pass


def collect(classifier: Classifier, data: DataModule, *, device: torch.device, draft: Path) -> Snapshots:
    """Runs the training split through a classifier and returns a snapshot for each place.

    The result does not depend on the number of processes or the batch size. Dropout is off. Memory grows by 8 bytes a
    row and place (norms, for exact percentiles). An interrupted pass resumes: each process saves its part to ``draft``
    every `SAVE_EVERY` seconds. With another ``eval_batch_size`` the pass restarts, because a draft counts batches.

    Args:
        classifier: Moved to ``device``; keeps its training mode.
        data: Prepared data.
        device: Device of the forward passes.
        draft: File for unfinished work; each process adds its rank to the name. The caller removes these files once it
            has written the snapshots.

    Raises:
        RuntimeError: If the number of rows seen is not that of the training split.
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
    shown = distributed.rank() == 0
    return enumerate(ProgressBar(loader, what="Analyzing", total=len(loader), initial=start, shown=shown), start)


def _save(draft: Path, collection: Collection, batches: int, batch_size: int) -> None:
    save_tensors(draft, {"batch_size": batch_size, "batches": batches, "snapshots": collection.state_dict()})


def _load(draft: Path, collection: Collection, batch_size: int) -> int:
    """Loads a draft into ``collection`` and returns its number of batches; 0 if it cannot be used."""
    try:
        stored = load_tensors(draft, "The pass starts over")
    except DamagedFileError as error:
        log.warning("%s", error)
        return 0
    if stored["batch_size"] != batch_size:
        return 0
    collection.load_state_dict(stored["snapshots"])
    return int(stored["batches"])
