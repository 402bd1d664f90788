"""Whether an exported folder, loaded where clsnorm cannot be imported, answers as the run does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clsnorm.export import standalone

TOLERANCE = 1e-5  # of the range of the run's logits


class DifferentModelError(RuntimeError):
    """The exported model does not answer as the run does: nothing is exported."""


def standalone_logits(folder: Path, columns: Sequence[Sequence[str]], *, max_length: int) -> np.ndarray:
    """Returns the logits of an exported folder for texts, ``(n, C)``, by transformers alone, in another process.

    Args:
        folder: What ``from_pretrained`` loads.
        columns: One list of texts, or two for pairs.
        max_length: Tokens kept of a row.

    Raises:
        DifferentModelError: If that process fails.
    """
    with tempfile.TemporaryDirectory() as place:
        texts, output = Path(place, "texts.jsonl"), Path(place, "logits.npy")
        with texts.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in zip(*columns, strict=True))
        script = [sys.executable, "-I", str(Path(standalone.__file__)), str(folder.absolute()), str(texts), str(output)]
        offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [*script, str(max_length)], cwd=place, env=offline, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DifferentModelError(f"the exported folder cannot be loaded:\n{done.stderr}")
        return np.asarray(np.load(output))


def largest_difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Returns the largest difference of two arrays of logits, over the range of the first; over 1 if that is 0."""
    spread = float(expected.max() - expected.min()) or float(np.abs(expected).max()) or 1.0
    return float(np.abs(expected.astype(np.float64) - found).max()) / spread


def compare(expected: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    """Returns how far the logits of an export are from the run's, ``(n, C)``, on the same rows.

    Returns:
        ``rows``; ``range`` of the run's logits; ``largest_difference`` over it; ``equal_answers``: rows with the same
        most probable class; ``tolerance``.

    Raises:
        DifferentModelError: If the largest difference is above `TOLERANCE` of the range, or an answer differs.
    """
    if expected.shape != found.shape or not np.isfinite(expected).all():
        raise DifferentModelError(f"logits of shape {found.shape} cannot be compared with the run's {expected.shape}")
    difference = largest_difference(expected, found)
    same = int((expected.argmax(1) == found.argmax(1)).sum())
    record = {
        "rows": len(expected),
        "range": float(expected.max() - expected.min()),
        "largest_difference": difference,
        "equal_answers": same,
        "tolerance": TOLERANCE,
    }
    if not difference <= TOLERANCE or same < len(expected):
        raise DifferentModelError(
            f"the exported model differs from the run: logits by up to {difference:.1e} of their range "
            f"(at most {TOLERANCE:g}), and {len(expected) - same} of {len(expected)} answers. Nothing was exported"
        )
    return record
