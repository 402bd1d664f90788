"""Columns gone over piece by piece, so that memory holds a piece of them, however many rows there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from clsnorm.data.rows.arrays import map_array

PIECE = 1 << 17  # rows read at once
SHARE = 1 << 19  # rows, about, that `shares` gives at once at most

Column = Iterable[np.ndarray]  # its pieces, one or more, end to end; it can be gone over again


class Mask(Protocol):
    """Tells which rows are meant, as an array of bool does."""

    def __getitem__(self, part: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Stored:
    """The column in an ``.npy`` file. It is mapped for one piece at a time: no page of it stays."""

    path: Path

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, max(1, len(map_array(self.path))), PIECE):
            yield np.array(map_array(self.path)[start : start + PIECE])


@dataclass(frozen=True)
class Chosen:
    """Those elements of a ``column`` that a ``mask`` means."""

    column: Column
    mask: Mask

    def __iter__(self) -> Iterator[np.ndarray]:
        for start, piece in placed(self.column):
            yield piece[self.mask[start : start + len(piece)]]


def placed(column: Column) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the pieces, each with the place of its first element."""
    start = 0
    for piece in column:
        yield start, piece
        start += len(piece)


def length(column: Column) -> int:
    """Returns the number of elements."""
    return sum(map(len, column))


def tally(ids: Column, classes: int = 0) -> np.ndarray:
    """Returns how often each id from 0 stands there, of at least ``classes``, int64."""
    counts = np.zeros(classes, np.int64)
    for piece in ids:
        found = np.bincount(piece, minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return counts


def taken(column: Column, places: np.ndarray) -> np.ndarray:
    """Returns the elements at ``places``, in their order."""
    order = np.argsort(places)
    ascending, found = places[order], []
    for start, piece in placed(column):
        first, last = np.searchsorted(ascending, [start, start + len(piece)])
        found.append(piece[ascending[first:last] - start])
    elements = np.concatenate(found)
    elements[order] = elements.copy()
    return elements


def find(keys: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of ``keys`` are among those ``known``, which ascend, as a mask; and where these stand there."""
    if not len(known):
        return np.zeros(len(keys), bool), np.empty(0, np.int64)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    there = known[places] == keys
    return there, places[there]


def starts(ordered: np.ndarray) -> np.ndarray:
    """Returns the places of those of some elements, which are ordered, that differ from the one before."""
    new = np.ones(len(ordered), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return np.flatnonzero(new)


def shares(keys: Column, *beside: Column) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields all rows in shares, of at most about `SHARE` rows if keys are hashes; a key's rows are all in one share.

    Args:
        keys: Their last bits tell the shares apart.
        *beside: Columns with the same pieces.

    Returns:
        Of each share the places of its rows, their keys, and what stands beside them, ordered by key, then by place.
    """
    number = 1 << (length(keys) // SHARE).bit_length()
    for share in range(number):
        rows = []
        for (start, piece), *others in zip(placed(keys), *beside, strict=True):
            here = np.flatnonzero(piece & (number - 1) == share)
            rows.append((start + here, piece[here], *(other[here] for other in others)))
        columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
        order = np.argsort(columns[1], kind="stable")
        yield tuple(column[order] for column in columns)
