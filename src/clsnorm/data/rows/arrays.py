"""Arrays on disk that grow at their end and are mapped back into memory."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from types import TracebackType

import numpy as np


class ArrayFile:
    """A one-dimensional ``.npy`` file that is written piece by piece, so that memory holds one piece at a time.

    NumPy leaves room in the header for the length to grow; it is filled in when the file is closed.

    Args:
        path: Of the file, which is made anew.
        dtype: Of the elements.
    """

    def __init__(self, path: Path, dtype: np.dtype | type) -> None:
        self._dtype, self._length = np.dtype(dtype), 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, piece: np.ndarray) -> None:
        """Writes ``piece`` at the end, converted to the file's type."""
        self._file.write(np.ascontiguousarray(piece, self._dtype).data)
        self._length += len(piece)

    def _write_header(self) -> None:
        description = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": description, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._write_header()


def write_array(path: Path, pieces: Iterable[np.ndarray]) -> None:
    """Writes a one-dimensional ``.npy`` file from its ``pieces``, of which there is one at least."""
    rest = iter(pieces)
    first = next(rest)
    with ArrayFile(path, first.dtype) as file:
        for piece in chain([first], rest):
            file.append(piece)


def map_array(path: Path) -> np.ndarray:
    """Maps an ``.npy`` file into memory, read-only."""
    return np.load(path, mmap_mode="r")
