"""From published parts to the splits of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clsnorm.data.rows.leakage import leaked_rows
from clsnorm.data.rows.rows import Rows
from clsnorm.data.rows.splits import carve
from clsnorm.errors import InputError


def split_names(published: Iterable[str]) -> list[str]:
    """Returns the names of all splits: train, select, then the report splits."""
    names = list(published)
    return ["train", "select", "report", *(name for name in names if name.startswith("report_"))]


def arrange(published: Mapping[str, Rows], *, drop_leaked: bool) -> tuple[dict[str, Rows], int]:
    """Carves the splits that are not published from train, report first.

    Args:
        published: The rows of each published part.
        drop_leaked: Whether to drop rows of train whose text occurs in another part, but for case, punctuation and
            spaces, before carving; carving then keeps such near copies together too, not only exact ones.

    Returns:
        The rows of each split, ascending, and how many rows of train were dropped.

    Raises:
        InputError: If nothing is left of train.
    """
    parts = dict(published)
    train, dropped = parts.pop("train"), 0
    if drop_leaked:
        leaked = leaked_rows(train, list(parts.values()))
        train, dropped = train.drop(leaked), len(leaked)
    if not len(train):
        raise InputError("Expected rows in train, but all occur in other splits too. Set data.drop_leaked=false")
    for name in ("report", "select"):
        if name not in parts:
            carved = carve(train.near if drop_leaked else train.exact, train.labels, name)
            parts[name], train = train.take(carved), train.drop(carved)
    parts["train"] = train
    return {name: parts[name] for name in split_names(published)}, dropped
