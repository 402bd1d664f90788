"""Prepared rows and tokens on disk: found by what they were made of, complete or not there at all."""

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
from clsnorm.files import digest, note_standing, remove_empty

FORMAT = 2  # raise it when the meaning of what is stored changes
RECORD = "record.json"
DRAFT = "draft-"
UNWRITABLE = {
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EFBIG, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS,
}  # fmt: skip


def cache_key(parts: Mapping[str, Any]) -> str:
    """Returns the sha256 of ``parts``, which must be plain values."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """A folder of entries, each a folder of files beside a record that holds the sha256 of each.

    An entry is written beside its place and renamed, so another process sees all of it or nothing; one that does not
    match its record is unused.

    Args:
        folder: Where entries are kept; made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser()

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """Returns the folder and the record of an entry, or None if there is no sound one."""
        entry = self._place(key)
        try:
            stored = json.loads((entry / RECORD).read_text(encoding="utf-8"))
            kept = {name: digest(entry / name) for name in stored["files"]}
            sound = stored["key"] == key and stored["files"] == kept
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return (entry, stored["record"]) if sound else None

    @contextlib.contextmanager
    def draft(self, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Gives a folder and a record to fill; at the end of the ``with`` block they become the entry.

        After an exception nothing is left. An entry that is already there and sound is left alone.

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
            stored = {"key": key, "files": hashes, "record": record}
            (draft / RECORD).write_text(json.dumps(stored, indent=1), encoding="utf-8")
            self._move(draft, key)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            remove_empty(self.folder)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turns what a disk that cannot be written says into an InputError; other errors are not about the cache."""
        try:
            yield
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            reason = os.strerror(error.errno)
            raise InputError(f"Cannot write to the cache {self.folder}: {reason}. Set paths.cache") from None

    def _remove_abandoned(self) -> None:
        """Removes the drafts of this machine's processes that were killed while they wrote."""
        for draft in self.folder.glob(f"{DRAFT}{_machine()}-*-*"):
            if not _is_alive(int(draft.name.split("-")[-2])):
                shutil.rmtree(draft, ignore_errors=True)

    def _place(self, key: str) -> Path:
        return self.folder / key[:32]

    def _move(self, draft: Path, key: str) -> None:
        entry = self._place(key)
        try:
            os.replace(draft, entry)  # noqa: PTH105 -- refuses a folder that is not empty, as wanted
        except OSError:
            if self.get(key) is None:
                shutil.rmtree(entry, ignore_errors=True)
                os.replace(draft, entry)  # noqa: PTH105


def _machine() -> str:
    """Returns what tells machines that share a cache apart: a process is looked for only where it runs."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True
