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


def column(part: Part, name: str) -> np.ndarray:
    """Returns a column of the rows that are meant: mapped from its file if all are, else a copy."""
    rows, kept = part
    whole: np.ndarray = getattr(rows, name)
    return whole if len(kept) == len(whole) else whole[kept]


def leaked(train: Part, other: Part) -> Copies:
    """Returns how many rows of ``other`` stand in ``train`` too."""
    counts = []
    for form in ("exact", "near"):
        keys, labels = column(other, form), column(other, "labels")
        known = _Known(train, form, np.unique(keys))
        there = among(keys, known.keys)
        counts += [int(there.sum()), known.relabelled(keys[there], labels[there])]
    return Copies(*counts)


def repeats(train: Part) -> Copies:
    """Returns how many rows of ``train`` repeat an earlier one, and how many of its rows stand there relabelled."""
    counts = []
    for form in ("exact", "near"):
        known = _Known(train, form, repeated(column(train, form)))
        counts += [int((known.counts - 1).sum()), int(known.counts[known.lowest != known.highest].sum())]
    return Copies(*counts)


def report(splits: Mapping[str, Part]) -> dict[str, dict[str, int]]:
    """Returns the counts of `leaked` for each split but train, and those of `repeats` for train, as plain values.

    If there is a select split, ``near_select`` of a report split counts its rows whose text stands there but for case,
    punctuation and spaces: the checkpoint was chosen on them.
    """
    train = splits["train"]
    copies = {name: repeats(train) if name == "train" else leaked(train, part) for name, part in splits.items()}
    found = {name: asdict(counts) for name, counts in copies.items()}
    for name in found if "select" in splits else ():
        if name not in ("train", "select"):
            found[name]["near_select"] = leaked(splits["select"], splits[name]).near
    return found


def free_of(rows: Rows, others: Sequence[Rows]) -> np.ndarray:
    """Returns which ``rows`` stand in none of ``others``, not even but for case, punctuation and spaces."""
    taken = np.unique(np.concatenate([np.empty(0, np.uint64), *(other.near for other in others)]))
    return np.flatnonzero(~among(rows.near, taken))


class _Known:
    """Those of some texts that stand in train, with their rows counted and their smallest and largest labels there."""

    def __init__(self, train: Part, form: str, texts: np.ndarray) -> None:
        keys = column(train, form)
        there = among(keys, texts)
        keys, labels = keys[there], column(train, "labels")[there]
        order = np.argsort(keys)
        keys, labels = keys[order], labels[order]
        starts = np.flatnonzero(_changes(keys))
        self.keys, self.counts = keys[starts], np.diff(starts, append=len(keys))
        self.lowest, self.highest = (extreme.reduceat(labels, starts) for extreme in (np.minimum, np.maximum))

    def relabelled(self, keys: np.ndarray, labels: np.ndarray) -> int:
        """Returns how many of these texts, all of which are known, are known with another label than the given one."""
        place = np.searchsorted(self.keys, keys)
        return int(((self.lowest[place] != labels) | (self.highest[place] != labels)).sum())


def _changes(keys: np.ndarray) -> np.ndarray:
    """Returns which of some ``keys``, which ascend, differ from the one before; the first does."""
    new = np.ones(len(keys), bool)
    new[1:] = keys[1:] != keys[:-1]
    return new
