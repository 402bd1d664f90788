"""Clean, labelled rows on disk: what splits, subsets and tokens are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from clsnorm.data.rows.arrays import map_array
from clsnorm.data.rows.columns import Chosen, Column, Mask, Stored
from clsnorm.data.rows.selection import Selection

ARRAYS = {"ids": np.int64, "exact": np.uint64, "near": np.uint64}


@dataclass(frozen=True)
class Rows:
    """The rows of one published part on disk, after those that cannot be used were left out.

    Args:
        folder: Where `clsnorm.data.storing.store` wrote them.
        split: The part.
    """

    folder: Path
    split: str

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def labels(self) -> Column:
        """int64 class ids, or float32 values."""
        return self._column("labels")

    @property
    def ids(self) -> Column:
        """int64 row numbers in the published part, from 0."""
        return self._column("ids")

    @property
    def exact(self) -> Column:
        """uint64, the same for rows with the same text or pair."""
        return self._column("exact")

    @property
    def near(self) -> Column:
        """uint64, the same for rows whose texts are the same but for case, punctuation and spaces."""
        return self._column("near")

    def texts(self, mask: Mask) -> Iterator[list[list[str]]]:
        """Yields the texts of the rows that the ``mask`` means, chunk by chunk: one list, or two for pairs."""
        with pa.OSFile(str(self._file("arrow"))) as file, pa.ipc.open_file(file) as stored:
            for chunk, (first, last) in enumerate(pairwise(self._starts.tolist())):
                places = np.flatnonzero(mask[first:last])
                if len(places):
                    yield [_cells(column, places) for column in stored.get_batch(chunk).columns]

    @property
    def _starts(self) -> np.ndarray:
        """The first row of each chunk, and the number of rows."""
        return map_array(self._file("starts.npy"))

    def _column(self, name: str) -> Column:
        return Stored(self._file(f"{name}.npy"))

    def _file(self, name: str) -> Path:
        return self.folder / f"{self.split}.{name}"


@dataclass(frozen=True)
class Part:
    """Some rows of a published part.

    Args:
        rows: All of its rows.
        meant: Which of them.
    """

    rows: Rows
    meant: Selection

    @classmethod
    def whole(cls, rows: Rows) -> Part:
        return cls(rows, Selection.everything(len(rows)))

    def __len__(self) -> int:
        return len(self.meant)

    def column(self, name: str) -> Column:
        """Returns a column of `Rows` for these rows."""
        return Chosen(getattr(self.rows, name), self.meant)

    def texts(self) -> Iterator[list[list[str]]]:
        """Yields the texts, chunk by chunk: one list, or two for pairs."""
        return self.rows.texts(self.meant)

    def only(self, places: np.ndarray) -> Part:
        """Returns the rows at ``places``, which ascend and count these rows."""
        return Part(self.rows, self.meant.only(places))

    def without(self, places: np.ndarray) -> Part:
        """Returns all rows but those at ``places``."""
        return Part(self.rows, self.meant.without(places))


def _cells(column: pa.Array, places: np.ndarray) -> list[str]:
    first, last = int(places[0]), int(places[-1]) + 1
    if last - first == len(places):
        return column.slice(first, last - first).to_pylist()
    return [column[place].as_py() for place in places.tolist()]
