"""Patterns of file names, digests, atomic writing, and removing folders that a run created."""

import contextlib
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

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
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary name in the same folder; the file written there replaces ``path`` if nothing was raised.

    Two writers of one path, on one machine or several, do not disturb each other; a failed one leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` atomically."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, atomically; non-finite numbers become ``NaN`` and ``Infinity``."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


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
