"""Prepared rows and tokens on disk: found by what they were made of, complete or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clsnorm.data.sources import file_hash
from clsnorm.errors import InputError

FORMAT = 2  # raise it when the meaning of what is stored changes
RECORD = "record.json"


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
            kept = {name: file_hash(entry / name) for name in stored["files"]}
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
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self.folder))
        except OSError as error:
            raise InputError(f"Cannot write to the cache {self.folder}: {error.strerror}. Set paths.cache") from None
        record: dict[str, Any] = {}
        try:
            yield draft, record
            hashes = {path.name: file_hash(path) for path in sorted(draft.iterdir())}
            stored = {"key": key, "files": hashes, "record": record}
            (draft / RECORD).write_text(json.dumps(stored, indent=1), encoding="utf-8")
            self._move(draft, key)
        finally:
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
