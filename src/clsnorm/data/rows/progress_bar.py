"""Progress bars of reading and tokenizing."""

import sys
from typing import Any

from tqdm import tqdm


def bar(what: str, total: int | None = None, *, shown: bool) -> Any:
    """Returns a bar that counts rows; it appears only on a terminal, and only after half a second.

    Args:
        what: Text before the bar.
        total: Number of rows; None: unknown, so that no percentage is shown.
        shown: Whether to show it at all.
    """
    seen = shown and sys.stderr.isatty()
    return tqdm(desc=what, total=total, unit=" rows", leave=False, delay=0.5, disable=None if seen else True)
