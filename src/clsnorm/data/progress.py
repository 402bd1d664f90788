"""Progress bars of reading and tokenizing."""

from typing import Any

from tqdm import tqdm


def bar(what: str, total: int | None, *, shown: bool) -> Any:
    """Returns a bar that counts rows; none where nobody would see it, or for what takes no time."""
    disable = None if shown else True  # None: unless it is a terminal
    return tqdm(desc=what, total=total, unit=" rows", leave=False, delay=0.5, disable=disable)
