"""Texts that occur in two splits, or twice in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from clsnorm.data.rows.row_keys import among, is_first
from clsnorm.data.rows.rows import Rows


@dataclass(frozen=True)
class Copies:
    """How many rows are copies.

    Attributes:
        exact: Rows whose text or pair occurs letter for letter.
        exact_relabelled: Those of them that occur with another label.
        near: Rows whose text occurs but for case, punctuation and spaces, exact copies included.
        near_relabelled: Those of them that occur with another label.
    """

    exact: int
    exact_relabelled: int
    near: int
    near_relabelled: int


def leaked(train: Rows, other: Rows) -> Copies:
    """Returns how many rows of ``other`` occur in ``train`` too."""
    exact = _found(other.exact, other.labels, train.exact, train.labels)
    near = _found(other.near, other.labels, train.near, train.labels)
    return Copies(*exact, *near)


def repeats(train: Rows) -> Copies:
    """Returns how many rows of ``train`` repeat an earlier one, and how many of its rows occur relabelled."""
    return Copies(*_repeated(train.exact, train.labels), *_repeated(train.near, train.labels))


def report(splits: Mapping[str, Rows]) -> dict[str, dict[str, int]]:
    """Returns the counts of `leaked` for each split but train, and those of `repeats` for train, as plain values.

    If there is a select split, ``near_select`` of a report split counts its rows that occur there but for case,
    punctuation and spaces: the checkpoint was chosen on them.
    """
    train = splits["train"]
    copies = {name: repeats(train) if name == "train" else leaked(train, rows) for name, rows in splits.items()}
    found = {name: asdict(counts) for name, counts in copies.items()}
    for name in found if "select" in splits else ():
        if name not in ("train", "select"):
            found[name]["near_select"] = leaked(splits["select"], splits[name]).near
    return found


def leaked_rows(train: Rows, others: Sequence[Rows]) -> np.ndarray:
    """Returns the rows of ``train`` that occur in ``others`` but for case, punctuation and spaces; ascending."""
    keys, found = train.near, np.zeros(len(train), bool)
    for other in others:
        found |= among(keys, np.sort(other.near))
    return np.flatnonzero(found)


def _found(keys: np.ndarray, labels: np.ndarray, known: np.ndarray, known_labels: np.ndarray) -> tuple[int, int]:
    """Returns how many ``keys`` occur in ``known``, and how many of these with another label there."""
    shared = among(known, np.sort(keys))  # usually few
    texts, text = np.unique(known[shared], return_inverse=True)
    lowest, highest = np.full(len(texts), np.inf), np.full(len(texts), -np.inf)
    np.minimum.at(lowest, text, known_labels[shared].astype(np.float64))
    np.maximum.at(highest, text, known_labels[shared].astype(np.float64))
    there = among(keys, texts)
    at, own = np.searchsorted(texts, keys[there]), labels[there]
    return int(there.sum()), int(((lowest[at] != own) | (highest[at] != own)).sum())


def _repeated(keys: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    """Returns how many ``keys`` occur earlier, and how many occur anywhere with another label."""
    order = np.argsort(keys, kind="stable")
    again = ~is_first(keys[order])
    texts = np.unique(keys[order[again]])
    repeated = among(keys, texts)
    keys, labels = keys[repeated], labels[repeated]
    return int(again.sum()), _found(keys, labels, keys, labels)[1]
