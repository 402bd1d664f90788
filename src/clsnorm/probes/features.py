"""[CLS] of all rows at chosen places of a frozen encoder, computed once and cached."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from clsnorm.cache import Cache, cache_key
from clsnorm.errors import require_choice
from clsnorm.model.places import taps
from clsnorm.progress import ProgressBar
from clsnorm.tensor_files import save_array

if TYPE_CHECKING:
    from clsnorm.data import DataModule
    from clsnorm.model import Encoder

FORMAT = 2  # raise it when stored features change their meaning
FOLDER = "features"  # in the cache
SPLITS = ("train", "select", "report")
POOLED = ("pooler_pre", "pooler")
LAST = "last"  # the last layer, whatever its number


@dataclass(frozen=True)
class Features:
    """Embeddings of the rows of each split at one place, in the order of the data.

    Attributes:
        place: Such as ``layer06``.
        rows: ``(n, d)`` by split, float32.
        seconds: What encoding all places of the same pass took, when it was done.
    """

    place: str
    rows: dict[str, np.ndarray]
    seconds: float


def read_features(
    encoder: Encoder, data: DataModule, places: Sequence[str], *, cache: Path, device: torch.device
) -> list[Features]:
    """Returns the features at each of ``places``, from the cache as far as they are there.

    Features are found by the encoder's weights and tap, the tokens of all splits, and the place. What is missing is
    computed in one pass, with dropout off.

    Raises:
        InputError: If the encoder has no such place.
    """
    store, places = Cache(cache / FOLDER), [resolved(place, encoder) for place in places]
    keys = {place: _key(encoder, data, place) for place in places}
    if missing := [place for place in places if store.get(keys[place]) is None]:
        started = time.perf_counter()
        found = {split: encode(encoder, loader, missing, device) for split, loader in _loaders(data)}
        seconds = time.perf_counter() - started
        for place in missing:
            with store.draft(keys[place]) as (folder, record):
                for split in SPLITS:
                    save_array(folder / f"{split}.npy", found[split][place])
                record["seconds"] = seconds
    return [_read(store, place, key) for place, key in keys.items()]


def _key(encoder: Encoder, data: DataModule, place: str) -> str:
    parts = {"encoder": encoder.fingerprint(), "data": data.fingerprint, "place": place, "type": "float32"}
    return cache_key({"format": FORMAT, **parts})


def _loaders(data: DataModule) -> list[tuple[str, Iterable]]:
    loaders = (data.calibration_dataloader(), data.val_dataloader(), data.test_dataloader()[0])
    return list(zip(SPLITS, loaders, strict=True))


def _read(store: Cache, place: str, key: str) -> Features:
    entry = store.get(key)
    if entry is None:
        raise RuntimeError(f"The features just written to {store.folder} cannot be read")
    folder, record = entry
    rows = {split: np.load(folder / f"{split}.npy") for split in SPLITS}
    return Features(place, rows, record["seconds"])


@torch.inference_mode()
def encode(encoder: Encoder, loader: Iterable, places: Sequence[str], device: torch.device) -> dict[str, np.ndarray]:
    """Returns [CLS] of all rows of a loader at each of ``places``, float32 ``(n, d)``; names as in `taps`."""
    encoder.to(device).eval()
    found: dict[str, list[np.ndarray]] = {place: [] for place in places}
    for batch in ProgressBar(loader, what="Encoding"):
        states = taps(encoder(batch.to(device), layers=True))
        for place in places:
            found[place].append(states[place].float().cpu().numpy())
    return {place: np.concatenate(parts) for place, parts in found.items()}


def resolved(place: str, encoder: Encoder) -> str:
    """Returns the name of a place in the encoder; ``last`` is its last layer.

    Raises:
        InputError: If there is no such place.
    """
    layers = [f"layer{number:02d}" for number in range(encoder.model.config.num_hidden_layers + 1)]
    if place == LAST:
        return layers[-1]
    require_choice("places", place, [LAST, *layers, *(POOLED if encoder.pooler is not None else ())])
    return place
