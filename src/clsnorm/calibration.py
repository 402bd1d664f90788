"""Filling a normalizer's accumulator with the embeddings of the training split, before the first step."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from tqdm import tqdm
from typing_extensions import override

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


def match_head(classifier: Classifier, data: DataModule, *, device: torch.device | str) -> None:
    """Lets the classifier set up its head and measure its first step, on the first batch that it will be trained on.

    Args:
        classifier: With a calibrated normalizer; left in the mode, and on the device, in which it came.
        data: Prepared data.
        device: Where to compute the embeddings.
    """
    batch = next(iter(data.train_dataloader())).to(device)
    with _at(classifier, device):
        with classifier.evaluating():
            h = classifier.embed(batch)
        classifier.match(h, batch.labels, regression=data.regression)


class Recalibration(pl.Callback):
    """Calibrates the normalizer anew every ``classifier.recalibrate_every`` epochs, as `calibrate` did before training.

    The logits jump by what the statistics have moved; the head is left as it is.
    """

    def __init__(self, data: DataModule) -> None:
        self._data = data
        self._last_epoch = 0

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier: Any = pl_module.classifier
        accumulator_type, every = classifier.normalizer.calibration, classifier.recalibrate_every
        epoch = trainer.current_epoch
        # An epoch that is gone on with in its middle has been recalibrated for.
        if accumulator_type is None or every is None or epoch <= self._last_epoch or epoch % every:
            return
        accumulator = accumulator_type(classifier.encoder.dim)
        _accumulate(accumulator, classifier, self._data, pl_module.device)
        classifier.normalizer.calibrate(accumulator)
        self._last_epoch = epoch

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self._last_epoch}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._last_epoch = state_dict["last_epoch"]


@contextlib.contextmanager
def _at(classifier: Classifier, device: torch.device | str) -> Iterator[None]:
    """Has the classifier on ``device`` for a while."""
    home = next(classifier.parameters()).device
    classifier.to(device)
    try:
        yield
    finally:
        classifier.to(home)


def _accumulate(accumulator: Any, classifier: Classifier, data: DataModule, device: torch.device | str) -> None:
    loader = data.calibration_dataloader()
    with _at(classifier, device), classifier.evaluating():
        for batch in tqdm(loader, desc="Calibrating", leave=False, disable=distributed.rank() != 0):
            accumulator.update(classifier.embed(batch.to(device)))
    accumulator.all_reduce()


def _key(classifier: Classifier, data: DataModule, accumulator: Any) -> str:
    parts = {
        "format": FORMAT,
        "accumulator": type(accumulator).__qualname__,
        "encoder": classifier.encoder.fingerprint(),
        "data": data.fingerprint,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
