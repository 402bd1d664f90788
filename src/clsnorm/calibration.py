"""Filling a normalizer's accumulator with the embeddings of the training split, before the first step."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from clsnorm import distributed
from clsnorm.files import replacing

if TYPE_CHECKING:
    from clsnorm.data import DataModule
    from clsnorm.model import Classifier

log = logging.getLogger(__name__)
FORMAT = 2  # raise when what an accumulator holds changes its meaning, so that older cached files are not used


def calibrate(classifier: Classifier, data: DataModule, *, cache: Path, device: torch.device | str) -> float:
    """Calibrates the classifier's normalizer if it asks for it and returns the seconds that this costs.

    Dropout is off; each training example is seen once, on one of the ranks; accumulators add up in float64. What was
    accumulated is cached under a name made of everything it depends on: the encoder's weights and tap, the training
    split, its tokenization, and the accumulator. A cached one costs what it took when it was made: having been run
    before makes no normalizer cheaper.

    Args:
        classifier: Left in the mode, and on the device, in which it came.
        data: Prepared data.
        cache: Folder of cached calibrations.
        device: Where to compute the embeddings.
    """
    accumulator_type = classifier.normalizer.calibration
    if accumulator_type is None:
        return 0.0
    accumulator = accumulator_type(classifier.encoder.dim)
    path = cache / f"{_key(classifier, data, accumulator)}.pt"
    if distributed.broadcast_object(path.exists()):
        kept = torch.load(path, weights_only=True)
        accumulator.load_state_dict(kept["state"])
        seconds = float(kept["seconds"])
    else:
        started = time.perf_counter()
        _accumulate(accumulator, classifier, data, device)
        seconds = time.perf_counter() - started
        if distributed.rank() == 0:
            with replacing(path) as draft:
                torch.save({"state": accumulator.state_dict(), "seconds": seconds}, draft)
    classifier.normalizer.calibrate(accumulator)
    return seconds


def _accumulate(accumulator: Any, classifier: Classifier, data: DataModule, device: torch.device | str) -> None:
    home = next(classifier.parameters()).device
    classifier.to(device)
    loader = data.calibration_dataloader()
    with classifier.evaluating():
        for batch in tqdm(loader, desc="Calibrating", leave=False, disable=distributed.rank() != 0):
            accumulator.update(classifier.embed(batch.to(device)))
    accumulator.all_reduce()
    classifier.to(home)


def _key(classifier: Classifier, data: DataModule, accumulator: Any) -> str:
    parts = {
        "format": FORMAT,
        "accumulator": type(accumulator).__qualname__,
        "encoder": classifier.encoder.fingerprint(),
        "data": data.fingerprint,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
