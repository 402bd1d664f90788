"""One pass over the training split: a `Snapshot` of [CLS] at every place in a model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from clsnorm import distributed
from clsnorm.files import replacing
from clsnorm.statistics import Snapshot

if TYPE_CHECKING:
    from clsnorm.batches import Batch
    from clsnorm.data import DataModule
    from clsnorm.model import Classifier

SAVE_EVERY = 30.0  # seconds between two copies of an unfinished pass

Snapshots = dict[str, Snapshot]


def places(classifier: Classifier, batch: Batch) -> dict[str, Tensor]:
    """Returns [CLS] embeddings ``(B, d)`` by place.

    ``layer00`` (after the embeddings: the same for all texts), ``layer01``, ..., then ``pooler_pre`` and ``pooler`` if
    the tap has a pooler, and ``z``, after the normalizer, if that changes anything. The last layer is the tap
    ``hidden``.
    """
    embeddings = classifier.encoder(batch, layers=True)
    assert embeddings.layers is not None
    found = {f"layer{number:02d}": state for number, state in enumerate(embeddings.layers)}
    for name in ("pooler_pre", "pooler"):
        if (state := getattr(embeddings, name)) is not None:
            found[name] = state
    z = classifier.normalizer(embeddings.cls)
    return found if z is embeddings.cls or torch.equal(z, embeddings.cls) else {**found, "z": z}


def collect(classifier: Classifier, data: DataModule, *, device: torch.device, draft: Path) -> Snapshots:
    """Returns the snapshots of the training split, the same for any number of processes and any batch size.

    Dropout is off. Memory does not grow with the rows, but for 8 bytes a row and place (norms, for exact percentiles).
    An interrupted pass goes on where it was: each process keeps its part in ``draft`` now and then.

    Args:
        classifier: Moved to ``device``; its mode is left as it came.
        data: Prepared data.
        device: Where to compute.
        draft: File for unfinished work; a number is added on each process, and it is removed at the end.
    """
    draft = draft.with_suffix(f".{distributed.rank()}of{distributed.world_size()}.pt")
    snapshots: Snapshots = {}
    start = _load(draft, snapshots, data, classifier) if draft.exists() else 0
    loader = data.calibration_dataloader()
    loader.batches.resume_at(0, start)
    classifier.to(device)
    saved = time.monotonic()
    with classifier.evaluating():
        for number, batch in _watched(loader, start):
            _add(snapshots, places(classifier, batch.to(device)), batch, data)
            if time.monotonic() - saved > SAVE_EVERY:
                _save(draft, snapshots, number + 1)
                saved = time.monotonic()
    for name in _names_everywhere(snapshots):
        snapshots.setdefault(name, _empty(data, classifier)).all_reduce()
    draft.unlink(missing_ok=True)
    return snapshots


def _watched(loader: Any, start: int) -> Iterator[tuple[int, Batch]]:
    quiet = distributed.rank() != 0
    bar = tqdm(loader, desc="Analyzing", total=len(loader), initial=start, leave=False, disable=quiet)
    return enumerate(bar, start)


def _add(snapshots: Snapshots, found: dict[str, Tensor], batch: Batch, data: DataModule) -> None:
    for name, state in found.items():
        if name not in snapshots:
            snapshots[name] = Snapshot(state.shape[1], num_classes=0 if data.regression else data.num_outputs)
        snapshots[name].update(state.float(), batch.labels, batch.example_ids)


def _names_everywhere(snapshots: Snapshots) -> list[str]:
    """All places in one order, also on a process that saw no row."""
    return sorted({name for names in distributed.gather_objects(list(snapshots)) for name in names})


def _empty(data: DataModule, classifier: Classifier) -> Snapshot:
    return Snapshot(classifier.encoder.dim, num_classes=0 if data.regression else data.num_outputs)


def _save(draft: Path, snapshots: Snapshots, batches: int) -> None:
    state = {name: snapshot.state_dict() for name, snapshot in snapshots.items()}
    with replacing(draft) as path:
        torch.save({"batches": batches, "snapshots": state}, path)


def _load(draft: Path, snapshots: Snapshots, data: DataModule, classifier: Classifier) -> int:
    kept = torch.load(draft, weights_only=True)
    for name, state in kept["snapshots"].items():
        snapshots[name] = _empty(data, classifier)
        snapshots[name].load_state_dict(state)
    return int(kept["batches"])
