"""Which files a pattern stands for, what they hold, writing so that no reader meets half of a file, and removing."""

import contextlib
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

VISIBLE = "[!_]*"  # what writes files in parts keeps its own notes beside them, under names with an underscore


def matching(path: Path) -> list[Path]:
    """Returns the files that a path with ``*`` stands for, sorted; any other path, or one that fits none, as it is.

    Brackets and question marks in its folder are letters like others. Hidden files and folders do not fit.
    """
    if "*" not in str(path) or path.exists():
        return [path]
    folder = next(parent for parent in path.parents if "*" not in str(parent))
    found = (file for file in folder.glob(str(path.relative_to(folder))) if file.is_file())
    return sorted(file for file in found if not _is_hidden(file.relative_to(folder))) or [path]


def digest(path: Path) -> str:
    """Returns the sha256 of a file; computed once in a process as long as the file does not change."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1 << 16)  # some data sets are a file a text
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a file name of its own beside ``path``, which takes the place of ``path`` once it is written whole.

    Two writers of one path, on one machine or several, do not disturb each other; a failed one leaves nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` to ``path``, whole or not at all."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, atomically; non-finite numbers become ``NaN`` and ``Infinity``."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def remove(folder: Path) -> None:
    """Removes a folder with all in it, and what then is empty above it."""
    shutil.rmtree(folder, ignore_errors=True)
    remove_empty(folder.absolute().parent)


def remove_empty(folder: Path) -> None:
    """Removes a folder if it is empty, and what then is empty above it; never the working directory."""
    for empty in (folder.absolute(), *folder.absolute().parents):
        if Path.cwd().is_relative_to(empty):
            return
        try:
            empty.rmdir()
        except OSError:
            return
