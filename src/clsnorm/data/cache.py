"""Prepared splits on disk: found by what they were made of, complete or not there at all."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clsnorm.data.sources import file_hash
from clsnorm.data.tokens import Tokens
from clsnorm.errors import InputError

FORMAT = 1  # raise it when the meaning of what is stored changes
RECORD = "record.json"


def cache_key(parts: Mapping[str, Any]) -> str:
    """Returns the sha256 of ``parts``, which must be plain values."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()


class TokenCache:
    """A folder of prepared data sets.

    An entry is a folder with one Arrow file a split and a record that holds the sha256 of each. It is written beside
    its place and renamed, so another process sees all of it or nothing; one that does not match its record is unused.

    Args:
        folder: Where entries are kept; made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser() / "tokens"

    def get(self, key: str) -> tuple[dict[str, Tokens], dict[str, Any]] | None:
        """Returns the splits and the record of an entry, or None if there is no sound one."""
        entry = self.folder / key[:32]
        try:
            stored = json.loads((entry / RECORD).read_text(encoding="utf-8"))
            files = {split: entry / f"{split}.arrow" for split in stored["files"]}
            if stored["key"] != key or any(file_hash(files[s]) != digest for s, digest in stored["files"].items()):
                return None
            return {split: Tokens.load(path) for split, path in files.items()}, stored
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, splits: Mapping[str, Tokens], record: Mapping[str, Any]) -> None:
        """Stores an entry; an entry that is already there and sound is left alone."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self.folder))
        except OSError as error:
            raise InputError(f"Cannot write to the cache {self.folder}: {error.strerror}. Set paths.cache") from None
        try:
            for split, tokens in splits.items():
                tokens.save(draft / f"{split}.arrow")
            hashes = {split: file_hash(draft / f"{split}.arrow") for split in splits}
            stored = {"key": key, "files": hashes, **record}
            (draft / RECORD).write_text(json.dumps(stored, indent=1), encoding="utf-8")
            self._move(draft, self.folder / key[:32], key)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _move(self, draft: Path, entry: Path, key: str) -> None:
        try:
            os.replace(draft, entry)  # noqa: PTH105 -- refuses a folder that is not empty, as wanted
        except OSError:
            if self.get(key) is None:
                shutil.rmtree(entry, ignore_errors=True)
                os.replace(draft, entry)  # noqa: PTH105
