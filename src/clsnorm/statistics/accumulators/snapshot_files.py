"""Saves and loads a `Snapshot` as plain arrays, from which every statistic can be computed later."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clsnorm.errors import DamagedFileError, InputError
from clsnorm.files import replacing
from clsnorm.seals import verify
from clsnorm.statistics.accumulators.snapshot import Snapshot

ARGUMENTS = ("dim", "num_classes")
SIZED = {"moments/products": ("dim", "dim"), "classes/count": ("num_classes",)}  # how large a snapshot is
BROKEN = (zipfile.BadZipFile, zlib.error)
GROWING = ("norms/values", "sample/keys", "sample/rows")  # whose shape depends on the number of rows


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
        InputError: If ``path`` is not such a file, or not what was written.

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
    sizes = {name: _size(path, name, arrays.pop(name)) for name in ARGUMENTS}
    _check_sizes(path, arrays, sizes)
    snapshot = Snapshot(sizes["dim"], num_classes=sizes["num_classes"])
    _check_arrays(path, arrays, snapshot)
    state: dict[str, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        part, _, name = key.partition("/")
        state.setdefault(part, {})[name] = torch.from_numpy(array)
    snapshot.load_state_dict(state)
    return snapshot


def _arrays(path: Path) -> dict[str, np.ndarray]:
    verify(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    # also a single array, a pickle, a truncated file, or one whose header asks for more memory than there is
    except (ValueError, TypeError, OSError, EOFError, KeyError, MemoryError, NotImplementedError, *BROKEN):
        raise InputError(
            f"Expected {path} to be an .npz file of accumulators, but NumPy cannot read it as one"
        ) from None


def _size(path: Path, name: str, array: np.ndarray) -> int:
    least = 1 if name == "dim" else 0
    if array.ndim or array.dtype.kind not in "iu" or array < least:
        raise DamagedFileError.of(path, f"{name} is not a whole number of at least {least}")
    return int(array)


def _check_sizes(path: Path, arrays: dict[str, np.ndarray], sizes: dict[str, int]) -> None:
    """Compares the sizes with arrays that the file holds, before memory is taken for them."""
    for name, axes in SIZED.items():
        shape = tuple(max(1, sizes[axis]) for axis in axes)
        if name in arrays and arrays[name].shape != shape:
            raise DamagedFileError.of(path, f"{name} has shape {arrays[name].shape} instead of {shape}")
        if name not in arrays:
            raise _lacking(path, name)


def _check_arrays(path: Path, arrays: dict[str, np.ndarray], empty: Snapshot) -> None:
    for part, state in empty.state_dict().items():
        for name, value in state.items():
            key, expected = f"{part}/{name}", np.asarray(value)
            if key not in arrays:
                raise _lacking(path, key)
            found = arrays[key]
            same = found.ndim == expected.ndim if key in GROWING else found.shape == expected.shape
            if not same or found.dtype.kind not in "iuf":
                raise DamagedFileError.of(path, f"{key} is {found.dtype} {found.shape} instead of {expected.shape}")


def _lacking(path: Path, name: str) -> InputError:
    return InputError(f"Expected {path} to hold all accumulators of a snapshot, but it lacks {name!r}")
