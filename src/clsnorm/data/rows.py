"""Clean, labelled rows on disk: what splits, subsets and tokens are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from clsnorm.data.arrays import map_array

ARRAYS = {"ids": np.int64, "exact": np.uint64, "near": np.uint64}


@dataclass(frozen=True)
class Rows:
    """The rows of one published part on disk, after those that cannot be used were left out.

    Columns are mapped from their files, read-only: what is in memory of them, at most 8 bytes a row each, is the
    system's to drop.

    Args:
        folder: Where `clsnorm.data.storing.store` wrote them.
        split: The part.
    """

    folder: Path
    split: str

    def __len__(self) -> int:
        return int(self._column("starts")[-1])

    @property
    def labels(self) -> np.ndarray:
        """int64 class ids, or float32 values."""
        return self._column("labels")

    @property
    def ids(self) -> np.ndarray:
        """int64 row numbers in the published part, from 0."""
        return self._column("ids")

    @property
    def exact(self) -> np.ndarray:
        """uint64, the same for rows with the same text or pair."""
        return self._column("exact")

    @property
    def near(self) -> np.ndarray:
        """uint64, the same for rows whose texts are the same but for case, punctuation and spaces."""
        return self._column("near")

    def _column(self, name: str) -> np.ndarray:
        return map_array(self.folder / f"{self.split}.{name}.npy")

    def texts(self, wanted: np.ndarray) -> Iterator[list[list[str]]]:
        """Yields the texts of the ``wanted`` rows, whose numbers ascend, chunk by chunk: one list, or two for pairs."""
        starts = self._column("starts")
        bounds = np.searchsorted(wanted, starts)
        with pa.OSFile(str(self.folder / f"{self.split}.arrow")) as file, pa.ipc.open_file(file) as stored:
            for chunk, (first, last) in enumerate(pairwise(bounds.tolist())):
                if first < last:
                    places = wanted[first:last] - starts[chunk]
                    yield [_cells(column, places) for column in stored.get_batch(chunk).columns]


def _cells(column: pa.Array, places: np.ndarray) -> list[str]:
    first, last = int(places[0]), int(places[-1]) + 1
    if last - first == len(places):
        return column.slice(first, last - first).to_pylist()
    return [column[place].as_py() for place in places.tolist()]
