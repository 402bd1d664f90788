"""Clean, labelled rows: their numbers in memory when asked for, their texts on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Rows:
    """Some or all rows of a published part of a data set, as `clsnorm.data.rows.storage.store` wrote them.

    Args:
        folder: Where they were written.
        split: Name of the part.
        places: Which of the stored rows, int64, ascending.
    """

    folder: Path
    split: str
    places: np.ndarray

    @classmethod
    def load(cls, folder: Path, split: str) -> Rows:
        """Returns all rows of a part."""
        return cls(folder, split, np.arange(np.load(folder / f"{split}.starts.npy")[-1]))

    def __len__(self) -> int:
        return len(self.places)

    @property
    def labels(self) -> np.ndarray:
        """int64 class ids, or float32 values."""
        return self._column("labels")

    @property
    def ids(self) -> np.ndarray:
        """int64 row numbers in the published part, from 0, rows that were dropped included."""
        return self._column("ids")

    @property
    def exact(self) -> np.ndarray:
        """uint64, equal for rows with the same text or pair."""
        return self._column("exact")

    @property
    def near(self) -> np.ndarray:
        """uint64, equal for rows whose texts are the same but for case, punctuation and spaces."""
        return self._column("near")

    def take(self, rows: np.ndarray) -> Rows:
        """Returns these ``rows``, ascending and counted within this part."""
        return replace(self, places=self.places[rows])

    def drop(self, rows: np.ndarray) -> Rows:
        """Returns all rows but these."""
        return replace(self, places=np.delete(self.places, rows))

    def texts(self) -> Iterator[list[list[str]]]:
        """Yields the texts, chunk by chunk: one list, or two for pairs."""
        starts = np.load(self.folder / f"{self.split}.starts.npy")
        bounds = np.searchsorted(self.places, starts)
        with pa.OSFile(str(self.folder / f"{self.split}.arrow")) as file, pa.ipc.open_file(file) as stored:
            for chunk, (first, last) in enumerate(pairwise(bounds)):
                if first < last:
                    within = pa.array(self.places[first:last] - starts[chunk])
                    yield [column.take(within).to_pylist() for column in stored.get_batch(chunk).columns]

    def _column(self, name: str) -> np.ndarray:
        return np.load(self.folder / f"{self.split}.{name}.npy", mmap_mode="r")[self.places]
