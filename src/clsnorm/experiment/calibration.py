"""Filling a normalizer's accumulator with the embeddings of the training split, before the first step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from clsnorm import distributed
from clsnorm.cache import Cache, cache_key
from clsnorm.errors import DamagedFileError
from clsnorm.experiment.arithmetic import matrix_products
from clsnorm.model.head import absorb_mean
from clsnorm.progress import ProgressBar
from clsnorm.statistics import Moments
from clsnorm.tensor_files import load_tensors, save_tensors

if TYPE_CHECKING:
    from clsnorm.data import DataModule
    from clsnorm.model import Classifier, FineTuner
    from clsnorm.statistics import Accumulator

MATCHED_EXAMPLES = 256  # on which a head is measured
FORMAT = 4  # raise it when the state of an accumulator changes, in its last bits too
STATE = "state.pt"


def calibrate(classifier: Classifier, data: DataModule, *, cache: Path, device: torch.device | str) -> float:
    """Calibrates normalizer and head as far as they need it, and returns the seconds that this costs.

    The head needs it with ``absorb_mean``: then the mean over the training split is subtracted through its bias.

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
    seconds, normalizer = 0.0, classifier.calibrated
    if normalizer.calibration is not None:
        accumulator, seconds = _filled(normalizer.calibration, classifier, data, cache, device)
        normalizer.calibrate(accumulator)
    if classifier.absorbs_mean:
        moments, more = _filled(Moments, classifier, data, cache, device)
        absorb_mean(classifier.head, normalizer, moments.mean)
        seconds += more if normalizer.calibration is not Moments else 0.0
    return seconds


def _filled(
    kind: type[Accumulator], classifier: Classifier, data: DataModule, cache: Path, device: torch.device | str
) -> tuple[Any, float]:
    """Returns an accumulator of the training split, from the cache if possible, and the seconds that it cost."""
    accumulator = kind(classifier.encoder.dim)
    store, key = Cache(cache), _key(classifier, data, accumulator)
    cached = distributed.broadcast_object(_load(store, key) if distributed.rank() == 0 else None)
    if cached is not None:
        state, seconds = cached
        accumulator.load_state_dict(state)
        return accumulator, seconds
    started = time.perf_counter()
    accumulate(accumulator, classifier, data, device)
    seconds = time.perf_counter() - started
    if distributed.rank() == 0:
        with store.draft(key) as (folder, record):
            save_tensors(folder / STATE, accumulator.state_dict())
            record["seconds"] = seconds
    return accumulator, seconds


def match_head(module: FineTuner, data: DataModule, *, device: torch.device | str, batches_per_step: int) -> None:
    """Sets up the classifier's head and measures it, on the first batches of training.

    Args:
        module: Its classifier has a calibrated normalizer; left in the mode, and on the device, in which it came.
        data: Prepared data.
        device: Where to compute the embeddings.
        batches_per_step: Batches whose gradients are accumulated.
    """
    classifier, seen, batches = module.classifier, 0, []
    with _at(classifier, device):
        with classifier.evaluating():
            for batch in data.train_dataloader():
                batches.append((classifier.embed(batch.to(device)), batch.labels.to(device)))
                seen += batch.global_size
                if seen >= MATCHED_EXAMPLES:
                    break
        classifier.match(batches, optimizer=module.optimizer, loss=module.loss, batches_per_step=batches_per_step)


def _load(cache: Cache, key: str) -> tuple[dict[str, Any], float] | None:
    """Returns the cached state of an accumulator and the seconds it cost; None if it is absent or damaged."""
    entry = cache.get(key)
    if entry is None:
        return None
    folder, record = entry
    try:
        return load_tensors(folder / STATE), record["seconds"]
    except (DamagedFileError, KeyError):
        return None


@contextlib.contextmanager
def _at(classifier: Classifier, device: torch.device | str) -> Iterator[None]:
    """Moves the classifier to ``device``, and back at the end."""
    home = next(classifier.parameters()).device
    classifier.to(device)
    try:
        yield
    finally:
        classifier.to(home)


def accumulate(accumulator: Accumulator, classifier: Classifier, data: DataModule, device: torch.device | str) -> None:
    """Adds the embedding of each training example to ``accumulator``, over all ranks; never in TF32."""
    loader = data.calibration_dataloader()
    with _at(classifier, device), classifier.evaluating(), matrix_products(device, tf32=False):
        for batch in ProgressBar(loader, what="Calibrating", shown=distributed.rank() == 0):
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
