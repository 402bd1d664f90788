"""Filling a normalizer's accumulator with the embeddings of the training split, before the first step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from tqdm import tqdm
from typing_extensions import override

from clsnorm import distributed
from clsnorm.cache import Cache, cache_key

if TYPE_CHECKING:
    from clsnorm.data import DataModule
    from clsnorm.model import Classifier
    from clsnorm.statistics import Accumulator

MATCHED_EXAMPLES = 256  # on which a head's first step is measured
FORMAT = 3  # raise it when the state of an accumulator changes its meaning, so that older entries are not used
STATE = "state.pt"


def calibrate(classifier: Classifier, data: DataModule, *, cache: Path, device: torch.device | str) -> float:
    """Calibrates the classifier's normalizer if it asks for it and returns the seconds that this costs.

    Dropout is off; each training example is seen once, on one of the ranks; accumulators add up in float64. The state
    of the accumulator is cached under a hash of everything it depends on: the encoder's weights and tap, the training
    split, its tokenization, and the accumulator. A cached one reports the seconds of its first computation: an earlier
    run makes no normalizer cheaper.

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
    store, key = Cache(cache), _key(classifier, data, accumulator)
    cached = distributed.broadcast_object(_load(store, key) if distributed.rank() == 0 else None)
    if cached is not None:
        state, seconds = cached
        accumulator.load_state_dict(state)
    else:
        started = time.perf_counter()
        _accumulate(accumulator, classifier, data, device)
        seconds = time.perf_counter() - started
        if distributed.rank() == 0:
            with store.draft(key) as (folder, record):
                torch.save(accumulator.state_dict(), folder / STATE)
                record["seconds"] = seconds
    classifier.normalizer.calibrate(accumulator)
    return seconds


def match_head(classifier: Classifier, data: DataModule, *, device: torch.device | str) -> None:
    """Lets the classifier set up its head and measure its first step, on the first batches of training.

    Args:
        classifier: With a calibrated normalizer; left in the mode, and on the device, in which it came.
        data: Prepared data.
        device: Where to compute the embeddings.
    """
    seen, batches = 0, []
    with _at(classifier, device):
        with classifier.evaluating():
            for batch in data.train_dataloader():
                batches.append((classifier.embed(batch.to(device)), batch.labels.to(device)))
                seen += batch.global_size
                if seen >= MATCHED_EXAMPLES:
                    break
        classifier.match(batches, regression=data.regression)


def _load(cache: Cache, key: str) -> tuple[dict[str, Any], float] | None:
    """Returns the cached state of an accumulator and the seconds it cost; None if it is absent or damaged."""
    entry = cache.get(key)
    if entry is None:
        return None
    folder, record = entry
    return torch.load(folder / STATE, weights_only=True), record["seconds"]


class Recalibration(pl.Callback):
    """Calibrates the normalizer anew every ``classifier.recalibrate_every`` epochs, as `calibrate` did before training.

    The logits jump by what the statistics have moved; the head is left as it is.

    Args:
        data: Prepared data.
        tell: Called after each with the number of the optimizer step that comes next and the seconds that it cost.
    """

    def __init__(self, data: DataModule, tell: Callable[[int, float], None]) -> None:
        self._data = data
        self._tell = tell
        self._last_epoch = 0

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier: Any = pl_module.classifier
        accumulator_type, every = classifier.normalizer.calibration, classifier.recalibrate_every
        epoch = trainer.current_epoch
        # An epoch that is gone on with in its middle has been recalibrated for.
        if accumulator_type is None or every is None or epoch <= self._last_epoch or epoch % every:
            return
        started = time.perf_counter()
        accumulator = accumulator_type(classifier.encoder.dim)
        _accumulate(accumulator, classifier, self._data, pl_module.device)
        classifier.normalizer.calibrate(accumulator)
        self._last_epoch = epoch
        self._tell(trainer.global_step, time.perf_counter() - started)

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


def _accumulate(accumulator: Accumulator, classifier: Classifier, data: DataModule, device: torch.device | str) -> None:
    loader = data.calibration_dataloader()
    with _at(classifier, device), classifier.evaluating():
        for batch in tqdm(loader, desc="Calibrating", leave=False, disable=distributed.rank() != 0):
            accumulator.update(classifier.embed(batch.to(device)))
    accumulator.all_reduce()


def _key(classifier: Classifier, data: DataModule, accumulator: Accumulator) -> str:
    parts = {
        "format": FORMAT,
        "accumulator": f"{type(accumulator).__module__}.{type(accumulator).__qualname__}",
        "encoder": classifier.encoder.fingerprint(),
        "data": data.fingerprint,
    }
    return cache_key(parts)
