"""Which rows are meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Selection:
    """Some of ``total`` rows: those that are listed, or all others, so that memory holds only what is listed.

    A slice of it is that of a mask, bool. Places count the rows that are meant, from 0.

    Args:
        total: Number of rows.
        listed: Row numbers, int64, ascending.
        left_out: Whether the listed rows are those that are not meant.
    """

    total: int
    listed: np.ndarray
    left_out: bool

    @classmethod
    def everything(cls, total: int) -> Selection:
        return cls(total, np.empty(0, np.int64), left_out=True)

    @classmethod
    def of(cls, total: int, listed: np.ndarray) -> Selection:
        """Returns the selection of the ``listed`` rows, which ascend."""
        return cls(total, listed, left_out=False)

    def __len__(self) -> int:
        return self.total - len(self.listed) if self.left_out else len(self.listed)

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(self.total)
        first, last = np.searchsorted(self.listed, [start, stop])
        mask = np.full(stop - start, self.left_out)
        mask[self.listed[first:last] - start] = not self.left_out
        return mask

    def rows(self, places: np.ndarray) -> np.ndarray:
        """Returns the row numbers at ``places``."""
        if self.left_out:
            return places + np.searchsorted(self.listed - np.arange(len(self.listed)), places, side="right")
        return self.listed[places]

    def numbers(self) -> np.ndarray:
        """Returns the numbers of all rows that are meant, ascending."""
        return self.rows(np.arange(len(self)))

    def pieces(self, size: int) -> Iterator[np.ndarray]:
        """Yields them ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.rows(np.arange(start, min(start + size, len(self))))

    def only(self, places: np.ndarray) -> Selection:
        """Returns the selection of the rows at ``places``, which ascend."""
        return Selection.of(self.total, self.rows(places))

    def without(self, places: np.ndarray) -> Selection:
        """Returns the selection of all rows but those at ``places``, which ascend."""
        listed = np.union1d(self.listed, self.rows(places)) if self.left_out else np.delete(self.listed, places)
        return Selection(self.total, listed, self.left_out)
