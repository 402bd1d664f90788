"""The embeddings of a frozen encoder: computed once, cached by content, and given to the data module."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from clsnorm import distributed
from clsnorm.cache import Cache, cache_key
from clsnorm.data.tokens.loader import TokenDataset
from clsnorm.data.tokens.sampling import Part
from clsnorm.data.tokens.stored_features import TYPE, StoredFeatures
from clsnorm.experiment.arithmetic import matrix_products
from clsnorm.progress import ProgressBar

if TYPE_CHECKING:
    from clsnorm.data import DataModule
    from clsnorm.model import Encoder

log = logging.getLogger(__name__)
FORMAT = 2  # raise it when stored embeddings change, in their last bits too
FOLDER = "embeddings"  # in the cache
FILE = "values"
TOKENS = 4096  # of a batch, padding included; it does not depend on the options of a run
Found = tuple[Path, float]  # the file of an entry, and the seconds that it cost


def encode_once(encoder: Encoder, data: DataModule, *, cache: Path, device: torch.device | str) -> float:
    """Gives ``data`` the embeddings of all splits, from the cache if possible, and returns the seconds they cost.

    An entry is found by the encoder's weights, tap and computation, and the tokens of the rows: runs share it whatever
    their normalizer, labels, seeds, batch size and number of processes. Embeddings are float32, without dropout.

    Texts are sorted by length and cut into batches that depend on nothing else, so the embeddings are the same to the
    bit for any number of processes, which share the batches. A cached entry reports the seconds of its computation.

    Args:
        encoder: Its weights do not change: `Encoder.is_frozen`. Left on the device on which it came.
        data: Prepared data.
        cache: Folder of the caches, shared by all processes.
        device: Where to compute.
    """
    store, features, seconds = Cache(cache / FOLDER), {}, 0.0
    for split in data.splits:
        dataset, rows = data.to_encode(split)
        chosen = np.arange(len(dataset)) if rows is None else rows
        key = _key(encoder, dataset, chosen)
        path, cost = _find(store, key) or _compute(store, key, encoder, dataset, chosen, device=device, split=split)
        features[split] = StoredFeatures.load(path, encoder.dim, rows, len(dataset))
        seconds += cost
    data.take_features(features)
    return seconds


def _key(encoder: Encoder, dataset: TokenDataset, rows: np.ndarray) -> str:
    of_encoder = {"weights": encoder.fingerprint(), "computation": encoder.computation()}
    texts = {"tokens": dataset.tokens.text_digest(rows).hex(), "packed": dataset.packed, "padding": dataset.padding}
    return cache_key({"format": FORMAT, "type": str(TYPE), "batch": TOKENS, **of_encoder, **texts})


def _find(store: Cache, key: str) -> Found | None:
    """Returns an entry if it is there, as process 0 sees it: the others must not start to compute alone."""
    entry = store.get(key) if distributed.rank() == 0 else None
    found: Found | None = None if entry is None else (entry[0] / FILE, entry[1]["seconds"])
    shared: Found | None = distributed.broadcast_object(found)
    return shared


def _compute(
    store: Cache,
    key: str,
    encoder: Encoder,
    dataset: TokenDataset,
    rows: np.ndarray,
    *,
    device: torch.device | str,
    split: str,
) -> Found:
    """Writes an entry, each process its share of the batches. Collective."""
    started = time.perf_counter()
    if distributed.rank() != 0:
        _write_share(Path(distributed.broadcast_object(None)), encoder, dataset, rows, device, split)
        distributed.barrier()
    else:
        with store.draft(key) as (folder, record):
            path = folder / FILE
            with path.open("wb") as file:
                file.truncate(len(rows) * encoder.dim * TYPE.itemsize)
            distributed.broadcast_object(str(path))
            _write_share(path, encoder, dataset, rows, device, split)
            distributed.barrier()
            record["seconds"] = time.perf_counter() - started
        log.info("encoded the %d rows of %s once, in %.1f s", len(rows), split, record["seconds"])
    found = _find(store, key)
    if found is None:
        raise RuntimeError(f"The embeddings just written to {store.folder} cannot be read")
    return found


@torch.inference_mode()
def _write_share(
    path: Path, encoder: Encoder, dataset: TokenDataset, rows: np.ndarray, device: torch.device | str, split: str
) -> None:
    """Writes the embeddings of this process's batches to their places in the file at ``path``."""
    lengths, width = np.diff(dataset.tokens.offsets)[rows], encoder.dim * TYPE.itemsize
    batches = list(_by_length(lengths))[distributed.rank() :: distributed.world_size()]
    home, training = next(encoder.parameters()).device, encoder.training
    encoder.to(device).eval()
    with path.open("r+b") as file, matrix_products(device, tf32=False):
        for places in ProgressBar(batches, what=f"Encoding {split} once", shown=distributed.rank() == 0):
            batch = dataset.__getitems__(Part(rows[places], len(places))).to(device)
            values = encoder(batch).cls.float().cpu().numpy()
            for place, value in zip(places.tolist(), values, strict=True):
                file.seek(place * width)
                file.write(value.tobytes())
        file.flush()
        os.fsync(file.fileno())  # before process 0 reads it, on another machine perhaps
    encoder.to(home).train(training)


def _by_length(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Yields indices of texts of similar length, the longest first, at most `TOKENS` tokens at a time with padding."""
    order, start = np.argsort(-lengths, kind="stable"), 0
    while start < len(order):
        count = max(1, TOKENS // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count
