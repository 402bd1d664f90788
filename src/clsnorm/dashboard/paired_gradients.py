"""Norms of gradients relative to those of another run with the same seeds, step by step."""

from __future__ import annotations

import csv
import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.errors import DamagedFileError, InputError
from clsnorm.files import write_text
from clsnorm.run_folder import RunFolder

SERIES = "gradient_steps.npz"
START = 0.1  # share of the steps that are the start
PAIRED = ("seeds", "data", "model")  # parts of the configuration that must be equal: the same examples in each step
LEFT_OUT = frozenset({"num_workers", "cache", "data_root", "eval_batch_size"})  # that change no step


def ratios(run: Path, reference: Path) -> dict[str, np.ndarray]:
    """Returns ``step`` and, for each series of both runs, its value over that of the reference in the same step.

    Series are those of ``statistics/gradient_steps.npz``: largest and mean norms of examples' gradients, norms of
    parameters by part, and ``clip_coefficient``. Series of one run only are left out: where a normalizer mixes the
    batch, a gradient at h is of the sum of all losses, and no other run has its like.

    Raises:
        InputError: If a folder holds no such file, or the runs differ in seeds, data or model.
    """
    require_paired(run, reference)
    ours, theirs = (_series(folder) for folder in (run, reference))
    steps, left, right = np.intersect1d(ours["step"], theirs["step"], return_indices=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {name: ours[name][left] / theirs[name][right] for name in ours if name in theirs and name != "step"}
    return {"step": steps, **found}


def ratio_summary(found: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Returns for each series of `ratios` its median in the first tenth of the steps, in all, and its maximum."""
    start = max(1, math.ceil(START * len(found["step"])))
    return {
        name: {
            "start": float(np.nanmedian(values[:start])),
            "run": float(np.nanmedian(values)),
            "largest": float(np.nanmax(values)),
        }
        for name, values in found.items()
        if name != "step" and np.isfinite(values[:start]).any()
    }


def write_ratios(run: Path, reference: Path) -> tuple[Path, dict[str, dict[str, float]]]:
    """Writes `ratios` into ``gradient_ratios.csv`` of a run's folder; returns its path and the `ratio_summary`."""
    found = ratios(run, reference)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(found)
    writer.writerows(zip(*(values.tolist() for values in found.values()), strict=True))
    path = run / "gradient_ratios.csv"
    write_text(path, text.getvalue())
    return path, ratio_summary(found)


def require_paired(run: Path, reference: Path) -> None:
    """Raises `InputError` unless each step of two runs has the same examples, weights drawn and dropout masks."""
    configs = [RunFolder(folder).require_config() for folder in (run, reference)]
    for name in PAIRED:
        ours, theirs = (_compared(config.get(name)) for config in configs)
        if ours != theirs:
            differing = sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
            raise InputError(
                f"Expected {run} and {reference} to have the same {name}, so that their steps can be paired, but they "
                f"differ in {', '.join(f'{name}.{key}' for key in differing)}. Choose runs of one sweep over normalizer"
            )


def _compared(node: Any) -> dict[str, Any]:
    return {key: value for key, value in (node or {}).items() if key not in LEFT_OUT}


def _series(folder: Path) -> dict[str, np.ndarray]:
    path = RunFolder(folder).statistics / SERIES
    if not path.is_file():
        raise InputError(
            f"Expected {path}, but it does not exist. Train with callbacks=[default,gradient_norms], to the end"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DamagedFileError.of(path, f"it is not a file of arrays ({type(error).__name__})") from None
    if "step" not in arrays or {array.shape for array in arrays.values()} != {arrays["step"].shape}:
        raise DamagedFileError.of(path, "its series differ in length")
    return arrays
