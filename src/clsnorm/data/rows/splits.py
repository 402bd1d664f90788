"""Carving splits: stratified, nested, and the same on every machine.

All draws are raw output of PCG64, whose stream NumPy promises never to change.
"""

from collections.abc import Iterator

import numpy as np

from clsnorm.data.rows.row_keys import among, is_first
from clsnorm.errors import InputError

SHARE, AT_LEAST, AT_MOST = 0.1, 200, 2000
SEEDS = {"report": 20_011, "select": 20_021}  # fixed, so that no seed of a run changes a split
BINS = 10


def draws(size: int, *seeds: int) -> np.ndarray:
    """Returns ``size`` random numbers, uint64, that depend on ``seeds`` alone."""
    return np.random.PCG64(np.random.SeedSequence(list(seeds))).random_raw(size)


def shuffled(size: int, *seeds: int) -> np.ndarray:
    """Returns a random order of ``range(size)`` that depends on ``seeds`` alone."""
    return np.argsort(draws(size, *seeds), kind="stable")


def strata(labels: np.ndarray) -> np.ndarray:
    """Returns the stratum of each row: its class, or the decile of its value."""
    if labels.dtype.kind != "f":
        return labels
    edges = np.quantile(labels, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(edges, labels, side="right")


def first_drawn(stratum: np.ndarray, draw: np.ndarray, most: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of each stratum with the smallest draws.

    Args:
        stratum: Id of each row's stratum, from 0.
        draw: Random number of each row; of equal ones the first row wins.
        most: Number of rows wanted of each stratum, at most as many as it has.

    Returns:
        Row numbers, ordered by stratum and draw, and the rank of each in its stratum, from 0.
    """
    counts = np.bincount(stratum, minlength=len(most))
    rank = np.arange(most.sum()) - np.repeat(np.cumsum(most) - most, most)
    order = np.lexsort((draw, stratum))
    return order[np.repeat(np.cumsum(counts) - counts, most) + rank], rank


def stratified_order(stratum: np.ndarray, *seeds: int, size: int | None = None) -> np.ndarray:
    """Returns an order of all rows of which *every* beginning is stratified, or its first ``size`` rows.

    First comes one row of each stratum; then the row that is j-th of n in its stratum comes at ``(j + 1/2) / n``, so
    that the first m rows hold each stratum to within one row of its share. Beginnings are nested by construction.
    """
    counts, draw = np.bincount(stratum), draws(len(stratum), *seeds)
    # Within the first `size` rows a stratum exceeds its share by at most one row for each stratum.
    share = 1.0 if size is None else (size + 2 * len(counts)) / max(1, len(stratum))
    most = np.minimum(counts, np.ceil(share * counts).astype(np.int64))
    rows, rank = first_drawn(stratum, draw, most)
    place = np.where(rank, (rank + 0.5) / np.repeat(counts, most), 0.0)
    return rows[np.lexsort((rows, draw[rows], place))][:size]


def carved_size(rows: int) -> int:
    """Returns how many of ``rows`` are carved off: a tenth, at least 200, at most 2,000, never more than half."""
    return min(max(round(SHARE * rows), AT_LEAST), AT_MOST, rows // 2)


def carve(keys: np.ndarray, labels: np.ndarray, name: str) -> np.ndarray:
    """Returns the rows to carve off for the split ``name``, ascending.

    Rows with equal keys form a group and stay together; the group's stratum is that of its first row. A group that
    holds all rows of a class stays in train, and that many fewer rows are carved off.

    Args:
        keys: A number for each row, equal for rows that must stay together.
        labels: Class ids or values.
        name: ``report`` or ``select``.

    Raises:
        InputError: If all keys are equal.
    """
    first, size = _groups(keys)
    if len(first) < 2:
        raise InputError(f"Expected at least two different texts to carve {name} from, but got {len(first)}")
    left, smallest, bound, chosen = carved_size(len(keys)), size.min(), _whole_classes(keys, labels), []
    for group in _lazy_order(strata(labels)[first], SEEDS[name], 4 * left):
        if left < smallest:
            break
        if size[group] <= left:
            left -= int(size[group])
            chosen += [] if keys[first[group]] in bound else [keys[first[group]]]
    return np.flatnonzero(among(keys, np.array(sorted(chosen), keys.dtype)))


def _groups(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first row of each group of equal keys, ascending, and the size of the group."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(is_first(keys[order]))
    size = np.zeros(len(keys), np.int64)
    size[order[starts]] = np.diff(starts, append=len(keys))
    first = np.flatnonzero(size)
    return first, size[first]


def _lazy_order(stratum: np.ndarray, seed: int, few: int) -> Iterator[int]:
    """Yields `stratified_order`; beyond its ``few`` first elements, which nearly always do, it costs more memory."""
    for size, done in ((few, 0), (None, few)):
        yield from stratified_order(stratum, seed, size=size)[done:]


def _whole_classes(keys: np.ndarray, labels: np.ndarray) -> set[int]:
    """Returns the keys of groups that hold all rows of a class."""
    if labels.dtype.kind == "f":
        return set()
    classes, bounds = labels.max(initial=-1) + 1, np.iinfo(keys.dtype)
    lowest, highest = np.full(classes, bounds.max, keys.dtype), np.full(classes, bounds.min, keys.dtype)
    np.minimum.at(lowest, labels, keys)
    np.maximum.at(highest, labels, keys)
    return set(lowest[lowest == highest].tolist())
