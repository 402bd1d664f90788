"""Texts that stand in two splits, or twice in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from clsnorm.data.rows import Rows
from clsnorm.data.splits import among, repeated

Part = tuple[Rows, np.ndarray]  # rows of a published part, and which of them are meant


@dataclass(frozen=True)
class Copies:
    """How many rows are copies.

    Attributes:
        exact: Rows whose text or pair stands there letter for letter.
        exact_relabelled: Those of them that stand there with another label.
        near: Rows whose text stands there but for case, punctuation and spaces; the exact ones are among them.
        near_relabelled: Those of them that stand there with another label.
    """

    exact: int
    exact_relabelled: int
    near: int
    near_relabelled: int


def leaked(train: Part, other: Part) -> Copies:
    """Returns how many rows of ``other`` stand in ``train`` too."""
    counts = []
    for form in ("exact", "near"):
        keys, labels = _column(other, form), _column(other, "labels")
        known = _Known(train, form, np.unique(keys))
        there = among(keys, known.keys)
        counts += [int(there.sum()), known.relabelled(keys[there], labels[there])]
    return Copies(*counts)


def repeats(train: Part) -> Copies:
    """Returns how many rows of ``train`` repeat an earlier one, and how many of its rows stand there relabelled."""
    counts = []
    for form in ("exact", "near"):
        keys = _column(train, form)
        several = repeated(keys)
        keys, labels = (column[among(keys, several)] for column in (keys, _column(train, "labels")))
        counts += [len(keys) - len(several), _Known(train, form, several).relabelled(keys, labels)]
    return Copies(*counts)


def report(splits: Mapping[str, Part]) -> dict[str, dict[str, int]]:
    """Returns the counts of `leaked` for each split but train, and those of `repeats` for train, as plain values."""
    train = splits["train"]
    found = {name: repeats(train) if name == "train" else leaked(train, part) for name, part in splits.items()}
    return {name: asdict(copies) for name, copies in found.items()}


def free_of(rows: Rows, others: Sequence[Rows]) -> np.ndarray:
    """Returns which ``rows`` stand in none of ``others``, not even but for case, punctuation and spaces."""
    taken = np.unique(np.concatenate([np.empty(0, np.uint64), *(other.near for other in others)]))
    return np.flatnonzero(~among(rows.near, taken))


class _Known:
    """Those of some texts that stand in train, with their labels there."""

    def __init__(self, train: Part, form: str, texts: np.ndarray) -> None:
        keys = _column(train, form)
        there = among(keys, texts)
        keys, labels = keys[there], _column(train, "labels")[there]
        order = np.lexsort((labels, keys))
        labels = labels[order]
        self.keys, first, counts = np.unique(keys[order], return_index=True, return_counts=True)
        self._lowest, self._highest = labels[first], labels[first + counts - 1]

    def relabelled(self, keys: np.ndarray, labels: np.ndarray) -> int:
        """Returns how many of these texts, all of which are known, are known with another label than the given one."""
        place = np.searchsorted(self.keys, keys)
        return int(((self._lowest[place] != labels) | (self._highest[place] != labels)).sum())


def _column(part: Part, name: str) -> np.ndarray:
    rows, kept = part
    column = getattr(rows, name)
    return column if len(kept) == len(column) else column[kept]
