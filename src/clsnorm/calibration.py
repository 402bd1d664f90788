"""Filling a normalizer's accumulator with the embeddings of the training split, before the first step."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from clsnorm import distributed

if TYPE_CHECKING:
    from clsnorm.data import DataModule
    from clsnorm.model import Classifier

log = logging.getLogger(__name__)
FORMAT = 1  # raise when what an accumulator holds changes its meaning, so that older cached files are not used


def calibrate(classifier: Classifier, data: DataModule, *, cache: Path, device: torch.device | str) -> float:
    """Calibrates the classifier's normalizer if it asks for it and returns the seconds that took.

    Dropout is off; each training example is seen once, on one of the ranks; accumulators add up in float64. What was
    accumulated is cached under a name made of everything it depends on: the encoder's weights and tap, the training
    split, its tokenization, and the accumulator.

    Args:
        classifier: Left in the mode, and on the device, in which it came.
        data: Prepared data.
        cache: Folder of cached calibrations.
        device: Where to compute the embeddings.
    """
    started = time.perf_counter()
    accumulator_type = classifier.normalizer.calibration
    if accumulator_type is None:
        return 0.0
    accumulator = accumulator_type(classifier.encoder.dim)
    path = cache / f"{_key(classifier, data, accumulator)}.pt"
    if distributed.broadcast_object(path.exists()):
        accumulator.load_state_dict(torch.load(path, weights_only=True))
    else:
        _accumulate(accumulator, classifier, data, device)
        if distributed.rank() == 0:
            _save(accumulator, path)
    classifier.normalizer.calibrate(accumulator)
    return time.perf_counter() - started


@torch.no_grad()
def _accumulate(accumulator: Any, classifier: Classifier, data: DataModule, device: torch.device | str) -> None:
    home = next(classifier.parameters()).device
    training = {module: module.training for module in classifier.modules()}
    classifier.eval().to(device)
    loader = data.calibration_dataloader()
    for batch in tqdm(loader, desc="Calibrating", leave=False, disable=distributed.rank() != 0):
        accumulator.update(classifier.embed(batch.to(device)))
    accumulator.all_reduce()
    classifier.to(home)
    for module, mode in training.items():
        module.training = mode


def _key(classifier: Classifier, data: DataModule, accumulator: Any) -> str:
    parts = {
        "format": FORMAT,
        "accumulator": type(accumulator).__qualname__,
        "encoder": classifier.encoder.fingerprint(),
        "data": data.fingerprint,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _save(accumulator: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: jobs of a sweep, on one machine or several, may fill the same entry at once.
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
        torch.save(accumulator.state_dict(), file)
    Path(file.name).replace(path)
