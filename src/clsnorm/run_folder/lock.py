"""Locks on a run's folder: one run writes into it at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from clsnorm.errors import InputError
from clsnorm.files import writing

PARENT = ".lock"
WORKERS = ".workers.lock"
_held: set[IO[str]] = set()


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Holds a lock of ``folder``; the operating system releases it when the process ends, however it ends.

    Forks of the process, such as those that load data, do not hold it: they may outlive a killed one for seconds.

    Raises:
        InputError: If another process holds it.
        DiskError: If the file cannot be written.
    """
    path = folder / name
    with writing(path):
        file = path.open("a+")
    with file:
        _acquire(folder, file)
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)


def require_unlocked(folder: Path, name: str) -> None:
    """Raises InputError if another process holds a lock of ``folder``."""
    with locked(folder, name):
        pass


def _acquire(folder: Path, file: IO[str]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        raise InputError(
            f"Expected {folder} to be free, but process {file.read().strip() or 'of another machine'} is "
            "running in it. Wait for it to end, or stop it; then the same command resumes from its last checkpoint"
        ) from None
    with writing(folder / file.name):
        file.truncate(0)
        os.write(file.fileno(), str(os.getpid()).encode())  # unbuffered: closing the file must not write again


def _let_go() -> None:
    for file in _held:
        file.close()


os.register_at_fork(after_in_child=_let_go)
