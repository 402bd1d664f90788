"""What does normalizing the [CLS] embedding do to BERT fine-tuning?"""

import importlib
from typing import Any

_LAZY = {
    "Batch": "clsnorm.batches",
    "InputError": "clsnorm.errors",
    "load_run": "clsnorm.experiment.loaded",
}
__all__ = list(_LAZY)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Loads public names on first use, so that importing one part does not import torch for it."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """Names what can be had, although it is not loaded yet: notebooks complete it."""
    return sorted([*globals(), *_LAZY])
