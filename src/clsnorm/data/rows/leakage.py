"""Texts that stand in two splits, or twice in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from clsnorm.data.rows.columns import Column, find, placed, shares, starts
from clsnorm.data.rows.parts import Part


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
        found = np.zeros(2, np.int64)
        for _, keys, labels in shares(other.column(form), other.column("labels")):
            found += _Known(train.column(form), train.column("labels"), keys[starts(keys)]).counts(keys, labels)
        counts += found.tolist()
    return Copies(*counts)


def repeats(train: Part) -> Copies:
    """Returns how many rows of ``train`` repeat an earlier one, and how many of its rows stand there relabelled."""
    counts = []
    for form in ("exact", "near"):
        found = np.zeros(2, np.int64)
        for _, keys, labels in shares(train.column(form), train.column("labels")):
            texts = keys[starts(keys)]
            found += _Known([keys], [labels], texts).counts(keys, labels) - [len(texts), 0]
        counts += found.tolist()
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


def standing_in(train: Part, others: Sequence[Part]) -> np.ndarray:
    """Returns the rows of ``train`` that stand in ``others`` too, but for case, punctuation and spaces; ascending."""
    there = np.zeros(len(train), bool)
    for other in others:
        for _, keys in shares(other.column("near")):
            taken = keys[starts(keys)]
            for start, piece in placed(train.column("near")):
                there[start : start + len(piece)] |= find(piece, taken)[0]
    return np.flatnonzero(there)


class _Known:
    """How some ``texts``, different and ascending, are labelled in columns of texts and labels."""

    def __init__(self, keys: Column, labels: Column, texts: np.ndarray) -> None:
        self._texts = texts
        self._lowest, self._highest = np.full(len(texts), np.inf), np.full(len(texts), -np.inf)
        for piece, values in zip(keys, labels, strict=True):
            there, at = find(piece, texts)
            np.minimum.at(self._lowest, at, values[there].astype(np.float64))
            np.maximum.at(self._highest, at, values[there].astype(np.float64))

    def counts(self, keys: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns how many of ``keys``, all of them among the texts, stand there, and how many with another label."""
        at = np.searchsorted(self._texts, keys)
        lowest, highest = self._lowest[at], self._highest[at]
        there = lowest <= highest
        return np.array([there.sum(), (there & ((lowest != labels) | (highest != labels))).sum()])
