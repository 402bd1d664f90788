"""How a label is written as the name of a class."""

import math
from typing import Any


def spell(label: Any) -> str:
    """Returns a label as a name: ``1`` for 1, 1.0 and ``" 1 "``; ``true`` for True; empty for None and NaN."""
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return ""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label).strip()
