"""The [CLS] embeddings of a frozen encoder in a memory-mapped file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

TYPE = np.dtype(np.float32)


@dataclass(frozen=True)
class StoredFeatures:
    """The embeddings of some rows of a split.

    Attributes:
        values: float32 ``(n, d)``.
        places: int64, by row of the split's tokens: where it is in ``values``; None: row i is at i.
    """

    values: np.ndarray
    places: np.ndarray | None = None

    @classmethod
    def load(cls, path: Path, dim: int, rows: np.ndarray | None, size: int) -> StoredFeatures:
        """Maps a file of raw values into memory, without copying it.

        Args:
            path: The file: the embeddings of ``rows``, one after the other.
            dim: Dimensions d of an embedding.
            rows: Which rows of the split's tokens are in the file, in this order; None: all.
            size: Rows of the split's tokens.
        """
        places = None
        if rows is not None:
            places = np.full(size, -1, np.int64)
            places[rows] = np.arange(len(rows))
        count = size if rows is None else len(rows)
        values = np.memmap(path, TYPE, "r", shape=(count, dim)) if count else np.empty((0, dim), TYPE)
        return cls(values, places)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Returns a copy of the embeddings of ``rows``, ``(len(rows), d)``."""
        return np.asarray(self.values[rows if self.places is None else self.places[rows]])
