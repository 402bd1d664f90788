"""Reads what a run or an analysis has written, as plain values that can be compared to the bit.

Times, memory, devices and commits are left out: they differ between equal runs.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

COMPARED = ("metrics", "status", "majority", "collapsed", "collapsed_selected", "steps", "epochs", "train_examples",
            "selected_step", "monitor", "num_outputs", "seeds", "statistics")  # fmt: skip


def collect(folder: Path, *, resumed: bool = True) -> dict[str, Any]:
    """Returns every comparable value that runs and analyses left in a folder, by file and place.

    Args:
        folder: Searched with the folders in it; hidden ones, which hold unfinished work, are left out.
        resumed: Whether to include the events that say that a run was resumed.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith(".") or "/." in name:
            continue
        if path.suffix == ".jsonl":
            for line in path.read_text().splitlines():
                row = json.loads(line)
                found |= {f"{name}: {row['split']} {row['batch']} {key}": value for key, value in row.items()}
        elif path.suffix == ".csv":
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if resumed or row.get("kind") != "resumed"]
                for number, row in enumerate(rows):
                    skipped = ("value",) if row.get("kind") == "recalibrated" else ()
                    found |= {f"{name} {number} {key}": value for key, value in row.items() if key not in skipped}
        elif path.name == "results.json":
            results = {key: value for key, value in json.loads(path.read_text()).items() if key in COMPARED}
            found |= {f"{name} {key}": value for key, value in flat(results).items()}
        elif path.suffix == ".parquet":
            import pandas as pd

            frame = pd.read_parquet(path)
            found |= {f"{name} {key}": [str(value) for value in column] for key, column in frame.items()}
        elif path.suffix == ".npz":
            import numpy as np

            with np.load(path) as arrays:
                found |= {f"{name} {key}": hashlib.sha256(arrays[key].tobytes()).hexdigest()[:16] for key in arrays}
        elif path.name == "selected.ckpt":
            found |= _weights(path, name)
    return found


def _weights(path: Path, name: str) -> dict[str, str]:
    import torch

    state = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    return {
        f"{name} {key}": hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()[:16]
        for key, value in state.items()
    }


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Returns the values of nested dicts by the keys on their way, joined by slashes."""
    if not isinstance(value, dict):
        return {place: value}
    parts = (flat(part, f"{place}/{key}" if place else str(key)) for key, part in value.items())
    return {key: entry for part in parts for key, entry in part.items()}
