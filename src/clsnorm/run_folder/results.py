"""``results.json``: a run's scores and how they were reached, written last."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_results(path: Path) -> dict[str, Any] | None:
    """Returns the results, or None if the run has not finished."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Replaces NaN and inf by None: JSON has neither.

    A loss may have diverged; a correlation is undefined if all labels or all predictions are equal.
    """
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
