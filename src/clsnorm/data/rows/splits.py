"""Carving splits: stratified, nested, and the same on every machine.

Everything is drawn from raw output of PCG64, whose stream NumPy promises never to change.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from clsnorm.data.rows.columns import Chosen, Column, find, length, placed, shares, starts, taken, tally
from clsnorm.errors import InputError

SHARE, AT_LEAST, AT_MOST = 0.1, 200, 2000
SEEDS = {"report": 20_011, "select": 20_021}  # of their own: no seed of a run moves a split
BINS = 10
DRAWN = np.dtype([("stratum", np.int64), ("draw", np.uint64), ("row", np.int64)])


def draws(size: int, *seeds: int) -> np.ndarray:
    """Returns ``size`` random numbers, uint64, that depend on ``seeds`` alone."""
    return _stream(*seeds)(size)


def shuffled(size: int, *seeds: int) -> np.ndarray:
    """Returns a random order of ``range(size)`` that depends on ``seeds`` alone."""
    return np.argsort(draws(size, *seeds), kind="stable")


def strata(labels: Column) -> Column:
    """Returns the stratum of each row: its class, or for numbers the decile it lies in."""
    if next(iter(labels)).dtype.kind != "f":
        return labels
    edges = np.quantile(np.concatenate(list(labels)), np.linspace(0, 1, BINS + 1)[1:-1])
    return _Deciles(labels, edges)


def first_drawn(stratum: Column, *seeds: int, most: np.ndarray) -> np.ndarray:
    """Returns the rows of each stratum with the smallest of random numbers that depend on ``seeds`` alone.

    Args:
        stratum: Of each row, an id from 0.
        *seeds: Of the draw.
        most: How many rows are wanted of each stratum; if there are fewer, all are given.

    Returns:
        A record of each of these rows, of type `DRAWN`, ordered by stratum and by random number.
    """
    stream, held, least = _stream(*seeds), [np.empty(0, DRAWN)], 0
    for start, piece in placed(stratum):
        new = np.empty(len(piece), DRAWN)
        new["stratum"], new["draw"], new["row"] = piece, stream(len(piece)), start + np.arange(len(piece))
        held.append(new)
        if sum(map(len, held)) > 2 * least + len(piece):  # seldom enough to sort each row only a few times
            held = [_beginnings(np.concatenate(held), most)]
            least = len(held[0])
    return _beginnings(np.concatenate(held), most)


def stratified_order(stratum: Column, *seeds: int, size: int | None = None) -> np.ndarray:
    """Returns an order of all rows of which *every* beginning is stratified, or its first ``size`` rows.

    The first rows are one of each stratum; then the row that is j-th of n in its stratum stands at ``(j + 1/2) / n``,
    so that the first m rows hold each stratum to within one row of its share. Beginnings are nested by construction.
    """
    counts = tally(stratum)
    # The first `size` rows hold each stratum's share of them, give or take rows of which each stratum causes but one.
    share = 1.0 if size is None else (size + 2 * len(counts)) / max(1, counts.sum())
    drawn = first_drawn(stratum, *seeds, most=np.ceil(share * counts))
    rank = _ranks(drawn["stratum"])
    place = np.where(rank, (rank + 0.5) / counts[drawn["stratum"]], 0.0)
    return drawn["row"][np.lexsort((drawn["row"], drawn["draw"], place))][:size]


def carved_size(rows: int) -> int:
    """Returns how many of ``rows`` are carved off: a tenth, at least 200, at most 2,000, never more than half."""
    return min(max(round(SHARE * rows), AT_LEAST), AT_MOST, rows // 2)


def carve(same: Column, labels: Column, name: str) -> np.ndarray:
    """Returns the rows that are carved off for the split ``name``, ascending.

    Rows that are the same stay together; such a group counts for its first row's stratum. A group that holds all rows
    of a class stays, and as many rows fewer are carved off.

    Args:
        same: A number for each row, not negative, the same for rows that must not be parted.
        labels: Class ids or values.
        name: ``report`` or ``select``.

    Raises:
        InputError: If all rows are the same.
    """
    is_first, smallest = _groups(same)
    if (groups := int(is_first.sum())) < 2:
        raise InputError(f"Expected at least two different texts to carve {name} from, but got {groups}")
    target, bound, chosen = carved_size(len(is_first)), _whole_classes(same, labels), []
    for number, size in _candidates(is_first, same, labels, target, SEEDS[name]):
        if target < smallest:
            break
        if size <= target:
            target -= size
            chosen += [] if number in bound else [number]
    numbers = np.array(sorted(chosen), next(iter(same)).dtype)
    return np.concatenate([start + np.flatnonzero(find(piece, numbers)[0]) for start, piece in placed(same)])


@dataclass(frozen=True)
class _Deciles:
    """The decile of each value, from 0."""

    values: Column
    edges: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        for piece in self.values:
            yield np.searchsorted(self.edges, piece, side="right")


def _stream(*seeds: int) -> Callable[[int], np.ndarray]:
    """Returns what gives the next random numbers, uint64: the same ones however many are asked for at once."""
    return np.random.PCG64(np.random.SeedSequence(list(seeds))).random_raw


def _beginnings(drawn: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Returns the smallest draws of each stratum, ``most`` of each, ordered by stratum and draw."""
    drawn = drawn[np.lexsort((drawn["draw"], drawn["stratum"]))]  # stable, and of equals the first row stands first
    return drawn[_ranks(drawn["stratum"]) < most[drawn["stratum"]]]


def _ranks(ordered: np.ndarray) -> np.ndarray:
    """Returns of each of some numbers, which ascend, how many like it stand before it."""
    return np.arange(len(ordered)) - np.searchsorted(ordered, ordered)


def _groups(same: Column) -> tuple[np.ndarray, int]:
    """Returns which rows are the first of those that are the same, bool, and how many the smallest such group has."""
    is_first = np.zeros(length(same), bool)
    smallest = len(is_first)
    for places, numbers in shares(same):
        first = starts(numbers)
        is_first[places[first]] = True
        smallest = int(np.diff(first, append=len(numbers)).min(initial=smallest))
    return is_first, smallest


def _candidates(
    is_first: np.ndarray, same: Column, labels: Column, target: int, seed: int
) -> Iterator[tuple[int, int]]:
    """Yields the groups in the stratified order of their first rows, of which seldom more than a few are asked for.

    Of each the number that is the same, and how many rows it has.
    """
    stratum, few = Chosen(strata(labels), is_first), 4 * target
    for size, done in ((few, 0), (None, few)):
        numbers = taken(Chosen(same, is_first), stratified_order(stratum, seed, size=size)[done:])
        yield from zip(numbers.tolist(), _sizes(same, numbers).tolist(), strict=True)


def _sizes(same: Column, numbers: np.ndarray) -> np.ndarray:
    """Returns how many rows have each of some different ``numbers``."""
    order, sizes = np.argsort(numbers), np.zeros(len(numbers), np.int64)
    for piece in same:
        np.add.at(sizes, order[find(piece, numbers[order])[1]], 1)
    return sizes


def _whole_classes(same: Column, labels: Column) -> set[int]:
    """Returns what is the same in all rows of a class, where there is such a thing."""
    first = next(iter(labels))
    if first.dtype.kind == "f":
        return set()
    classes, bounds = len(tally(labels)), np.iinfo(next(iter(same)).dtype)
    lowest, highest = np.full(classes, bounds.max, bounds.dtype), np.full(classes, bounds.min, bounds.dtype)
    for ids, numbers in zip(labels, same, strict=True):
        np.minimum.at(lowest, ids, numbers)
        np.maximum.at(highest, ids, numbers)
    return set(lowest[lowest == highest].tolist())
