"""Patterns of file names, digests, atomic writing, and removing folders that a run created."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

from clsnorm.errors import DiskError, LostLeaseError
from clsnorm.seals import seal, sealed_json

DRAFT = ".draft-"
_ABANDONED = re.compile(r"\.draft-.+|\.[0-9a-f]{32}(\..+)?")  # the second are of earlier versions
_drafts: ContextVar[Path | None] = ContextVar("_drafts", default=None)  # folder of `drafting_in`
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE}  # never the program's fault
_held: dict[Path, list[int]] = {}  # descriptors of the folders of `held`; an open folder's inode is not used again
_guards: dict[Path, list[Callable[[], None]]] = {}  # of the folders of `held`
VISIBLE = "[!_]*"  # programs that write a file in parts, such as Spark, add files of their own that start with "_"
_standing: set[Path] = set()  # folders that existed before this process created others in them


def matching(path: Path) -> list[Path]:
    """Returns the files that match a path with ``*``, sorted; without ``*``, or without a match, the path itself.

    Brackets and question marks in its folder are ordinary characters. Hidden files and folders do not match.
    """
    if "*" not in str(path) or path.exists():
        return [path]
    folder = next(parent for parent in path.parents if "*" not in str(parent))
    found = (file for file in folder.glob(str(path.relative_to(folder))) if file.is_file())
    return sorted(file for file in found if not _is_hidden(file.relative_to(folder))) or [path]


def digest(path: Path) -> str:
    """Returns the sha256 of a file; computed once per process as long as the file does not change."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1 << 16)  # some data sets have one file per text
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


@contextlib.contextmanager
def held(folder: Path, guard: Callable[[], None] = lambda: None) -> Iterator[None]:
    """In the ``with`` block, writing below ``folder`` fails once it has been deleted, moved or replaced.

    Args:
        folder: It exists.
        guard: Called before each write; raises `DiskError` if this process may no longer write there.
    """
    key, descriptor = folder.absolute(), os.open(folder, os.O_RDONLY)
    _held.setdefault(key, []).append(descriptor)
    _guards.setdefault(key, []).append(guard)
    try:
        yield
    finally:
        _held[key].remove(descriptor)
        _guards[key].remove(guard)
        if not _held[key]:
            del _held[key], _guards[key]
        os.close(descriptor)


def require_held(path: Path) -> None:
    """Raises `DiskError` if ``path`` is below a folder of `held` that is gone, or that others may write into now.

    Writing would create a folder that is gone again.
    """
    for folder, descriptors in _held.items():
        if not path.absolute().is_relative_to(folder):
            continue
        if not all(_is_at(folder, found) for found in descriptors):
            raise DiskError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        for guard in _guards[folder]:
            guard()


def _is_at(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except OSError:
        return False


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an `OSError` of the ``with`` block into a `DiskError` that names ``path``; checks `require_held` before."""
    require_held(path)
    try:
        yield
    except LostLeaseError:
        raise
    except OSError as error:  # one of a draft, too, is named after the file that the user knows
        raise DiskError.of(path, error) from error


def disk_error(error: BaseException, folder: Path) -> DiskError | None:
    """Returns the `DiskError` that ``error`` is or was caused by, in whatever library; None if it is another error.

    An error that does not name its file is reported for ``folder``. A missing or forbidden file counts only if it
    should be in ``folder``: elsewhere it may be the program's fault.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DiskError):
            return cause
        if isinstance(cause, OSError) and cause.errno is not None:
            inside = cause.filename is not None and Path(os.fsdecode(cause.filename)).is_relative_to(folder)
            if cause.errno in _FULL or (inside and cause.errno in (errno.ENOENT, errno.EACCES, errno.EPERM)):
                return DiskError.of(os.fsdecode(cause.filename or folder), cause)
        cause = cause.__cause__ or cause.__context__
    return None


@contextlib.contextmanager
def drafting_in(folder: Path) -> Iterator[None]:
    """Makes `replacing` write its drafts into ``folder``, on the same disk as the files.

    For files in a folder that several processes share: there, a process could not know whether a draft is abandoned.
    """
    token = _drafts.set(folder)
    try:
        yield
    finally:
        _drafts.reset(token)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the name of a draft in the same folder; the file written there replaces ``path`` if nothing was raised.

    Two writers of one path, on one machine or several, do not disturb each other; a failed one leaves nothing behind.

    Raises:
        DiskError: If the file cannot be written.
    """
    draft = (_drafts.get() or path.parent) / f"{DRAFT}{uuid.uuid4().hex}{path.suffix}"
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield draft
            put_in_place(draft, path)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


def put_in_place(draft: Path, path: Path, *, synced: bool = True) -> None:
    """Seals a complete file (`clsnorm.seals`) and renames it to ``path``: after a power loss, that is old or new.

    Args:
        draft: Of the same folder.
        path: Is replaced.
        synced: Whether to wait for the disk, seconds for a large file. If not, a power loss soon after may leave a
            torn file, which its seal will show.

    Raises:
        DiskError: If it cannot be written; the draft is removed.
    """
    with writing(path):
        try:
            seal(draft)
            if synced:
                sync(draft)
            require_held(path)  # again: a large file takes its time
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        if synced:
            with contextlib.suppress(OSError):  # some file systems cannot
                sync(path.parent)


def sync_meanwhile(paths: list[Path]) -> None:
    """Flushes files to the disk in the background, unless an earlier call is not done yet.

    An error shows when the files are read.
    """

    def work() -> None:
        with contextlib.suppress(OSError):
            for path in paths:
                sync(path)

    if not any(thread.name == sync_meanwhile.__name__ for thread in threading.enumerate()):
        threading.Thread(target=work, name=sync_meanwhile.__name__, daemon=True).start()


def sync(path: Path) -> None:
    """Waits until the disk holds what was written to a file, or a folder's list of names; a missing one is skipped."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def append(path: Path, text: str) -> int:
    """Adds ``text`` to an existing file, all or nothing, and returns where it starts, in bytes.

    Raises:
        DiskError: If the file is gone, or cannot be written.
    """
    with writing(path), path.open("r+b", buffering=0) as file:
        start = file.seek(0, os.SEEK_END)
        left = text.encode()
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            file.truncate(start)
            raise
    return start


def is_draft(path: Path) -> bool:
    """Is this a file that `replacing` was writing?"""
    return _ABANDONED.fullmatch(path.name) is not None


def is_alive(process: int) -> bool:
    """Is a process of this machine running? If not, nobody else removes its drafts."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        pass
    return True


def remove_drafts(folder: Path) -> None:
    """Removes drafts of killed writers in ``folder`` and below, hidden folders aside; call it while nobody writes."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in filter(is_draft, (Path(place, name) for name in names)):
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` atomically."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, atomically; non-finite numbers become ``NaN`` and ``Infinity``."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Writes JSON with its digest, atomically; `clsnorm.seals.read_json` reads and verifies it."""
    write_text(path, sealed_json(value))


def note_standing(folder: Path) -> None:
    """Remembers the deepest folder on the way to ``folder`` that already exists: `remove_empty` will not remove it."""
    path = folder.absolute()
    _standing.add(next(place for place in (path, *path.parents) if place.exists()))


def remove(folder: Path) -> None:
    """Removes everything in a folder, then the folder and the folders above it that are empty, as `remove_empty`."""
    for path in folder.iterdir():
        delete(path)
    remove_empty(folder)


def delete(path: Path) -> None:
    """Removes a file or a whole folder; of a link only the link, not its target."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def remove_empty(folder: Path) -> None:
    """Removes a folder if it is empty, then the folders above it as long as they are empty.

    Folders remembered by `note_standing` and the working directory stay: a user created them.
    """
    for empty in (folder.absolute(), *folder.absolute().parents):
        if any(kept.is_relative_to(empty) for kept in (Path.cwd(), *_standing)):
            return
        try:
            empty.rmdir()
        except OSError:
            return
