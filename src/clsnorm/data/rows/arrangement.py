"""From published parts to the splits of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from clsnorm.data.rows.leakage import standing_in
from clsnorm.data.rows.parts import Part, Rows
from clsnorm.data.rows.splits import carve
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
    parts = {name: Part.whole(rows) for name, rows in published.items()}
    train = parts.pop("train")
    leaked = standing_in(train, list(parts.values())) if drop_leaked else np.empty(0, np.int64)
    train = train.without(leaked)
    if not len(train):
        raise InputError("Expected rows in train, but all stand in other splits too. Set data.drop_leaked=false")
    for name in ("report", "select"):
        if name not in parts:
            off = carve(train.column("near" if drop_leaked else "exact"), train.column("labels"), name)
            parts[name], train = train.only(off), train.without(off)
    parts["train"] = train
    return {name: parts[name] for name in split_names(published)}, len(leaked)
