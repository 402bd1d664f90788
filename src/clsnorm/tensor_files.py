"""Files of tensors (``torch.save``), sealed while written and verified before they are read; files of arrays."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from clsnorm.errors import DamagedFileError
from clsnorm.files import replacing, writing
from clsnorm.seals import Hash, footer, verify


class HashedFile:
    """A file open for writing that hashes what is written, so that it need not be read again to be sealed.

    Args:
        file: The file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, block: bytes) -> int:
        """Writes ``block``; torch replaces an error by one of its own, so it is stored in ``error``."""
        try:
            written = self._file.write(block)
        except OSError as error:
            self.error = error
            raise
        self.hash.update(block)
        return written

    def flush(self) -> None:
        """Flushes the file."""
        self._file.flush()


def write_tensors(path: Path, state: Any) -> Hash:
    """Writes ``state`` to ``path``, sealed but not atomically: for drafts.

    Returns:
        The sha256 that the seal holds, with which `clsnorm.seals.write_note` can add to the file.

    Raises:
        DiskError: If the file cannot be written; nothing is left of it.
    """
    with writing(path):
        try:
            with path.open("wb") as file:
                return _save(state, HashedFile(file))
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _save(state: Any, file: HashedFile) -> Hash:
    try:
        torch.save(state, file)  # type: ignore[arg-type]  # needs no other methods
    except RuntimeError:
        if file.error is not None:
            raise file.error from None
        raise
    hashed = file.hash.copy()
    file.write(footer(hashed))
    return hashed


def save_tensors(path: Path, state: Any) -> None:
    """Writes ``state``, sealed and atomically.

    Raises:
        DiskError: If the file cannot be written.
    """
    with replacing(path) as draft:
        write_tensors(draft, state)


def load_tensors(path: Path, advice: str = "", *, mmap: bool = False) -> Any:
    """Returns what a file of tensors and plain values holds, on the CPU.

    Args:
        path: The file; one of an earlier version has no seal.
        advice: What a user can do if it is damaged, as a sentence without its full stop.
        mmap: Whether to map tensors from the file instead of reading them. Then copy what you keep: a mapped file takes
            room on the disk until then, even if it has been replaced.

    Raises:
        DamagedFileError: If the file is missing, was changed since it was written, or cannot be read as such a file;
            pickled code is never run.
    """
    if not path.is_file():
        raise DamagedFileError.of(path, "it is missing" if not path.exists() else "it is not a file", advice)
    verify(path, advice)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception:  # torch's reader raises nearly any on bytes that are no such file
        reason = "it is not a file of tensors and plain values that torch.load reads with weights_only=True"
        raise DamagedFileError.of(path, reason, advice) from None


class _ByteWriter:
    """A file of which NumPy uses nothing but ``write``."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes an ``.npy`` file, the same as ``numpy.save``, but reports a full disk.

    NumPy writes to a real file through a buffer of the C library and ignores its errors: a small array could be cut
    silently.

    Raises:
        OSError: If the file cannot be written.
    """
    with path.open("wb") as file:
        np.save(_ByteWriter(file), np.asanyarray(array))
