"""Whether there is an account to send something to."""

from __future__ import annotations

import os
from pathlib import Path


def has_wandb_key() -> bool:
    """Tells whether an API key of Weights & Biases is known: ``WANDB_API_KEY``, or what ``wandb login`` has kept."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    return path.exists() and "api.wandb.ai" in path.read_text(errors="ignore")
