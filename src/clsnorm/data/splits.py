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
    order = shuffled(len(stratum), *seeds)
    ordered = stratum[order]
    turns, places = [], []
    for value in np.unique(stratum):
        turn = np.flatnonzero(ordered == value)
        place = (np.arange(len(turn[:size])) + 0.5) / len(turn)
        place[:1] = 0.0
        turns.append(turn[:size])
        places.append(place)
    turn = np.concatenate(turns)
    return order[turn[np.lexsort((turn, np.concatenate(places)))][:size]]


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
    first, copies = _first_and_copies(same)
    if len(first) < 2:
        raise InputError(f"Expected at least two different texts to carve {name} from, but got {len(first)}")
    target, bound, off = carved_size(len(same)), _whole_classes(same, labels), np.zeros(len(same), bool)
    for row in _candidates(first, labels, target, SEEDS[name]):
        rows = copies.get(int(same[row]), [row])
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


def _first_and_copies(same: np.ndarray) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Returns the first row of each group of rows that are the same, ascending, and the rows of groups of several."""
    rows = np.flatnonzero(among(same, repeated(same)))
    order = rows[np.argsort(same[rows], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(same[order])) + 1) if len(order) else []
    later = np.concatenate([group[1:] for group in groups]) if groups else order
    is_first = np.ones(len(same), bool)
    is_first[later] = False
    return np.flatnonzero(is_first), {int(same[group[0]]): group for group in groups}


def _candidates(first: np.ndarray, labels: np.ndarray, target: int, seed: int) -> Iterator[int]:
    """Yields the rows ``first`` in stratified order, of which seldom more than a few are asked for."""
    stratum = strata(labels)[first]
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
