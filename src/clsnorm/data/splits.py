"""Carving splits: stratified, nested, and the same on every machine.

Everything is drawn from raw output of PCG64, whose stream NumPy promises never to change.
"""

from collections.abc import Iterator

import numpy as np

from clsnorm.errors import InputError

SHARE, AT_LEAST, AT_MOST = 0.1, 200, 2000
SEEDS = {"report": 20_011, "select": 20_021}  # of their own: no seed of a run moves a split
BINS = 10
PIECE = 1 << 20  # rows that are looked up at once


def draws(size: int, *seeds: int) -> np.ndarray:
    """Returns ``size`` random numbers, uint64, that depend on ``seeds`` alone."""
    return np.random.PCG64(np.random.SeedSequence(list(seeds))).random_raw(size) if size else np.empty(0, np.uint64)


def shuffled(size: int, *seeds: int) -> np.ndarray:
    """Returns a random order of ``range(size)`` that depends on ``seeds`` alone."""
    return np.argsort(draws(size, *seeds), kind="stable")


def strata(labels: np.ndarray) -> np.ndarray:
    """Returns the stratum of each row: its class, or for numbers the decile it lies in."""
    if labels.dtype.kind != "f":
        return labels
    edges = np.quantile(labels, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(edges, labels, side="right")


def stratified_order(stratum: np.ndarray, *seeds: int, size: int | None = None) -> np.ndarray:
    """Returns an order of all rows of which *every* beginning is stratified, or its first ``size`` rows.

    The first rows are one of each stratum; then the row that is j-th of n in its stratum stands at ``(j + 1/2) / n``,
    so that the first m rows hold each stratum to within one row of its share. Beginnings are nested by construction.
    """
    drawn, chosen, places = draws(len(stratum), *seeds), [], []
    for value in np.unique(stratum):
        rows = np.flatnonzero(stratum == value)
        turn = rows[np.argsort(drawn[rows], kind="stable")[:size]]
        place = (np.arange(len(turn)) + 0.5) / len(rows)
        place[:1] = 0.0
        chosen.append(turn)
        places.append(place)
    rows = np.concatenate(chosen)
    return rows[np.lexsort((rows, drawn[rows], np.concatenate(places)))][:size]


def carved_size(rows: int) -> int:
    """Returns how many of ``rows`` are carved off: a tenth, at least 200, at most 2,000, never more than half."""
    return min(max(round(SHARE * rows), AT_LEAST), AT_MOST, rows // 2)


def carve(same: np.ndarray, labels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows into those that stay and those carved off for the split ``name``, both ascending.

    Rows that are the same stay together; such a group counts for its first row's stratum. A group that holds all rows
    of a class stays, and as many rows fewer are carved off.

    Args:
        same: A number for each row, the same for rows that must not be parted.
        labels: Class ids or values.
        name: ``report`` or ``select``.

    Raises:
        InputError: If all rows are the same.
    """
    groups = _Groups(same)
    if len(groups.first) < 2:
        raise InputError(f"Expected at least two different texts to carve {name} from, but got {len(groups.first)}")
    target, bound, off = carved_size(len(same)), _whole_classes(same, labels), np.zeros(len(same), bool)
    for row in _candidates(groups.first, labels, target, SEEDS[name]):
        rows = groups.of(row, same[row])
        if len(rows) <= target:
            target -= len(rows)
            off[rows] = int(same[row]) not in bound
        if target == 0:
            break
    return np.flatnonzero(~off), np.flatnonzero(off)


def among(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns whether each of ``keys`` is one of ``known``, which ascend. Takes a byte a key."""
    found = np.zeros(len(keys), bool)
    for start in range(0, len(keys) if len(known) else 0, PIECE):
        part = keys[start : start + PIECE]
        place = np.minimum(np.searchsorted(known, part), len(known) - 1)
        found[start : start + PIECE] = known[place] == part
    return found


def repeated(keys: np.ndarray) -> np.ndarray:
    """Returns which keys stand there more than once, ascending."""
    ordered = np.sort(keys)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


class _Groups:
    """Rows that are the same. Rows of which there is one alone take no memory but that of ``first``.

    Args:
        same: A number for each row.

    Attributes:
        first: The first row of each group, ascending.
    """

    def __init__(self, same: np.ndarray) -> None:
        rows = np.flatnonzero(among(same, repeated(same)))
        self._rows = rows[np.argsort(same[rows], kind="stable")]
        self._numbers = same[self._rows]
        is_first = np.ones(len(same), bool)
        is_first[self._rows[1:][self._numbers[1:] == self._numbers[:-1]]] = False
        self.first = np.flatnonzero(is_first)

    def of(self, row: int, number: np.generic) -> np.ndarray:
        """Returns all rows of the group of ``row``, whose number is ``number``."""
        start, end = (np.searchsorted(self._numbers, number, side) for side in ("left", "right"))
        return self._rows[start:end] if start < end else np.array([row])


def _candidates(first: np.ndarray, labels: np.ndarray, target: int, seed: int) -> Iterator[int]:
    """Yields the rows ``first`` in stratified order, of which seldom more than a few are asked for."""
    stratum = strata(labels)
    stratum = stratum[first] if len(first) < len(stratum) else stratum
    few = 4 * target
    yield from first[stratified_order(stratum, seed, size=few)].tolist()
    yield from first[stratified_order(stratum, seed)[few:]].tolist()


def _whole_classes(same: np.ndarray, labels: np.ndarray) -> set[int]:
    """Returns what is the same in all rows of a class, where there is such a thing."""
    if labels.dtype.kind == "f":
        return set()
    classes = int(labels.max()) + 1
    lowest, highest = np.full(classes, same.max(), same.dtype), np.full(classes, same.min(), same.dtype)
    np.minimum.at(lowest, labels, same)
    np.maximum.at(highest, labels, same)
    return set(lowest[lowest == highest].tolist())
