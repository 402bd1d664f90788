"""Saves and loads a `Snapshot` as plain arrays, from which every statistic can be computed later."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clsnorm.errors import InputError
from clsnorm.files import replacing
from clsnorm.statistics.accumulators.snapshot import Snapshot

ARGUMENTS = ("dim", "num_classes")


def save(path: Path, snapshot: Snapshot) -> None:
    """Writes all accumulators of ``snapshot`` as one ``.npz`` file, atomically.

    Keys are ``dim``, ``num_classes`` and ``{accumulator}/{array}``, such as ``moments/products``; float64.
    """
    arrays: dict[str, Any] = {name: np.asarray(getattr(snapshot, name)) for name in ARGUMENTS}
    for part, state in snapshot.state_dict().items():
        for name, value in state.items():
            arrays[f"{part}/{name}"] = value.cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    with replacing(path) as draft:
        np.savez(draft, **arrays)


def load(path: Path | str) -> Snapshot:
    """Returns the snapshot that `save` wrote, with the same statistics.

    Raises:
        InputError: If ``path`` is not such a file.

    Example:
        >>> from clsnorm.statistics import describe, load
        >>> describe(load("runs/NAME/statistics/report_h.npz"))["spectrum/isoscore"].value  # doctest: +SKIP
        0.0417
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"Expected a file of accumulators, such as statistics/report_h.npz of a run, but {path} does not exist"
        )
    arrays = _arrays(path)
    if not set(ARGUMENTS) <= arrays.keys():
        raise InputError(f"Expected {path} to hold the accumulators of a snapshot, but it holds {sorted(arrays)[:5]}")
    dim, num_classes = (int(arrays.pop(name)) for name in ARGUMENTS)
    state: dict[str, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        part, _, name = key.partition("/")
        state.setdefault(part, {})[name] = torch.from_numpy(array)
    snapshot = Snapshot(dim, num_classes=num_classes)
    try:
        snapshot.load_state_dict(state)
    except KeyError as error:
        raise InputError(f"Expected {path} to hold all accumulators of a snapshot, but it lacks {error}") from None
    return snapshot


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, TypeError, OSError, zipfile.BadZipFile):  # also a single array, a pickle, or a truncated file
        raise InputError(
            f"Expected {path} to be an .npz file of accumulators, but NumPy cannot read it as one"
        ) from None
