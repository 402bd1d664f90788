"""Carving splits and drawing subsets: stratified, nested, and the same on every machine.

Everything is drawn from raw output of PCG64, whose stream NumPy promises never to change.
"""

from collections.abc import Sequence

import numpy as np

from clsnorm.errors import InputError

SHARE, AT_LEAST, AT_MOST = 0.1, 200, 2000
SEEDS = {"report": 20_011, "select": 20_021}  # of their own: no seed of a run moves a split
BINS = 10


def shuffled(size: int, *seeds: int) -> np.ndarray:
    """Returns a random order of ``range(size)`` that depends on ``seeds`` alone."""
    keys = np.random.PCG64(np.random.SeedSequence(list(seeds))).random_raw(size) if size else np.empty(0, np.uint64)
    return np.argsort(keys, kind="stable")


def strata(labels: np.ndarray) -> np.ndarray:
    """Returns the stratum of each row: its class, or for numbers the decile it lies in."""
    if labels.dtype.kind != "f":
        return labels
    edges = np.quantile(labels, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(edges, labels, side="right")


def stratified_order(stratum: np.ndarray, *seeds: int) -> np.ndarray:
    """Returns an order of all rows of which *every* beginning is stratified.

    The first rows are one of each stratum; then the row that is j-th of n in its stratum stands at ``(j + 1/2) / n``,
    so that the first m rows hold each stratum to within one row of its share. Beginnings are nested by construction.
    """
    order = shuffled(len(stratum), *seeds)
    place = np.empty(len(stratum))
    for value in np.unique(stratum):
        rows = order[stratum[order] == value]
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
        place[rows[0]] = 0.0
    return order[np.argsort(place[order], kind="stable")]


def subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Returns ``size`` row numbers, ascending: a stratified subset; for one seed a larger one holds the smaller."""
    return np.sort(stratified_order(strata(labels), seed)[:size])


def carved_size(rows: int) -> int:
    """Returns how many of ``rows`` are carved off: a tenth, at least 200, at most 2,000, never more than half."""
    return min(max(round(SHARE * rows), AT_LEAST), AT_MOST, rows // 2)


def carve(texts: Sequence[Sequence[str]], labels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows into those that stay and those carved off for the split ``name``, both ascending.

    Rows whose texts are the same letter for letter stay together; such a group counts for its first row's stratum.

    Raises:
        InputError: If there are fewer than two different texts.
    """
    group = groups(texts)
    first = np.unique(group, return_index=True)[1]
    sizes = np.bincount(group)
    if len(first) < 2:
        raise InputError(f"Expected at least two different texts to carve {name} from, but got {len(first)}")
    taken, target = [], carved_size(len(group))
    for candidate in stratified_order(strata(labels)[first], SEEDS[name]):
        if sizes[candidate] <= target:
            taken.append(candidate)
            target -= sizes[candidate]
        if target == 0:
            break
    off = np.isin(group, taken)
    return np.flatnonzero(~off), np.flatnonzero(off)


def groups(texts: Sequence[Sequence[str]]) -> np.ndarray:
    """Returns a number for each row, the same for rows with the same text or pair, in order of appearance."""
    seen: dict[tuple[str, ...], int] = {}
    return np.array([seen.setdefault(row, len(seen)) for row in zip(*texts, strict=True)], dtype=np.int64)


def leaked(train: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> int:
    """Returns how many rows of ``other`` have a text or pair that stands in ``train`` too."""
    seen = set(zip(*train, strict=True))
    return sum(row in seen for row in zip(*other, strict=True))
