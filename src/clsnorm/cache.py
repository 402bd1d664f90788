"""A cache on disk: entries are found by what they were made from, and are complete or absent."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clsnorm.errors import InputError
from clsnorm.files import delete, digest, is_alive, note_standing, remove_empty, write_sealed
from clsnorm.seals import read_json

RECORD = "record.json"
DRAFT = "draft-"
UNWRITABLE = {
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EFBIG, errno.EIO, errno.EISDIR, errno.ENOENT, errno.ENOSPC,
    errno.ENOTDIR, errno.EPERM, errno.EROFS, errno.ESTALE,
}  # fmt: skip


def cache_key(parts: Mapping[str, Any]) -> str:
    """Returns the sha256 of ``parts``: plain values on which an entry depends, the version of its format among them."""
    text = json.dumps(parts, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """A folder of entries. An entry is a record of plain values and any number of files.

    An entry is written under a temporary name and renamed, so other processes see all of it or nothing. Each stores the
    sha256 of its files, and its record is sealed (`clsnorm.seals`); one that does not match counts as absent.

    Args:
        folder: Where entries are stored; created when needed.

    Example:
        >>> cache, key = Cache(Path("cache")), cache_key({"format": 1, "rows": 3})  # doctest: +SKIP
        >>> if (entry := cache.get(key)) is None:  # doctest: +SKIP
        ...     with cache.draft(key) as (folder, record):
        ...         (folder / "numbers.txt").write_text("1 2 3")
        ...         record["sum"] = 6
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser()

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """Returns the folder and the record of an entry, or None if it is absent or damaged."""
        entry = self._place(key)
        try:
            stored = read_json(entry / RECORD)
            found = {name: digest(entry / name) for name in stored["files"]}
            sound = stored["key"] == key and stored["files"] == found
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return (entry, stored["record"]) if sound else None

    @contextlib.contextmanager
    def draft(self, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yields an empty folder and record to fill; at the end of the ``with`` block they become the entry.

        An exception leaves nothing behind. A sound entry of another process, written meanwhile, is not replaced.

        Raises:
            InputError: If the folder cannot be written.
        """
        with self._refusing():
            note_standing(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()
            draft = Path(tempfile.mkdtemp(prefix=f"{DRAFT}{_machine()}-{os.getpid()}-", dir=self.folder))
        record: dict[str, Any] = {}
        try:
            with self._refusing():
                yield draft, record
                hashes = {path.name: digest(path) for path in sorted(draft.iterdir())}
                write_sealed(draft / RECORD, {"key": key, "files": hashes, "record": record})
                self._move(draft, key)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            remove_empty(self.folder)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turns errors of the disk into an InputError: of the cache, or of a file that is read to fill it."""
        try:
            yield
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            place = self.folder if error.filename is None else Path(os.fsdecode(error.filename))
            reason = os.strerror(error.errno)
            if not (place.is_relative_to(self.folder) or self.folder.is_relative_to(place)):
                raise InputError(f"Cannot read {place}: {reason}") from None
            raise InputError(f"Cannot write to the cache {self.folder}: {reason}. Set paths.cache") from None

    def _remove_abandoned(self) -> None:
        """Removes drafts of processes of this machine that were killed while writing."""
        for draft in self.folder.glob(f"{DRAFT}{_machine()}-*-*"):
            if not is_alive(int(draft.name.split("-")[-2])):
                shutil.rmtree(draft, ignore_errors=True)

    def _place(self, key: str) -> Path:
        return self.folder / key[:32]

    def _move(self, draft: Path, key: str) -> None:
        entry = self._place(key)
        try:
            os.replace(draft, entry)  # noqa: PTH105 -- fails if the folder is not empty, as wanted
        except OSError:
            if self.get(key) is None:
                if entry.exists() or entry.is_symlink():
                    delete(entry)
                os.replace(draft, entry)  # noqa: PTH105


def _machine() -> str:
    """Returns a name of this machine: a process of another machine that shares the cache cannot be looked up."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]
