"""Progress bars of reading and tokenizing."""

import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm


def bar(what: str, total: Callable[[], int | None], *, shown: bool) -> Any:
    """Returns a bar that counts rows; none where nobody would see it, or for what takes no time.

    Args:
        what: Stands before it.
        total: Returns how many rows there are, about, or None; asked only if the bar is seen.
        shown: Whether to show it, on a terminal.
    """
    seen = shown and sys.stderr.isatty()
    return tqdm(
        desc=what, total=total() if seen else None, unit=" rows", leave=False, delay=0.5, disable=None if seen else True
    )
