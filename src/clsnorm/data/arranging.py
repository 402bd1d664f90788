"""From published parts to the splits of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from clsnorm.data.leakage import Part, column, free_of
from clsnorm.data.rows import Rows
from clsnorm.data.splits import carve
from clsnorm.errors import InputError


def split_names(published: Iterable[str]) -> list[str]:
    """Returns the names of all splits: train, select, then the report splits."""
    names = list(published)
    return ["train", "select", "report", *(name for name in names if name.startswith("report_"))]


def arrange(published: Mapping[str, Rows], *, drop_leaked: bool) -> tuple[dict[str, Part], int]:
    """Carves what is not published from train, report first.

    Args:
        published: The rows of each published part.
        drop_leaked: Whether rows of train whose text stands in another part, but for case, punctuation and spaces, are
            left out first; carving then keeps such texts together too, not only those that agree letter for letter.

    Returns:
        The rows of each split, ascending, and how many were left out of train.

    Raises:
        InputError: If nothing is left of train.
    """
    parts = {name: (rows, np.arange(len(rows))) for name, rows in published.items()}
    train = published["train"]
    if drop_leaked:
        parts["train"] = train, free_of(train, [rows for name, rows in published.items() if name != "train"])
    kept = parts.pop("train")[1]
    dropped = len(train) - len(kept)
    if not len(kept):
        raise InputError("Expected rows in train, but all stand in other splits too. Set data.drop_leaked=false")
    for name in ("report", "select"):
        if name not in parts:
            same = column((train, kept), "near" if drop_leaked else "exact")
            stay, off = carve(same, column((train, kept), "labels"), name)
            parts[name], kept = (train, kept[off]), kept[stay]
    parts["train"] = train, kept
    return {name: parts[name] for name in split_names(published)}, dropped
