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
_standing: set[Path] = set()  # folders that this process found where it then made others


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


def note_standing(folder: Path) -> None:
    """Notes which folder on the way to ``folder`` is there already: `remove` and `remove_empty` leave it in place."""
    path = folder.absolute()
    _standing.add(next(place for place in (path, *path.parents) if place.exists()))


def remove(folder: Path) -> None:
    """Removes all that is in a folder, then the folder and what is empty above it, as `remove_empty` does."""
    for path in folder.iterdir():
        delete(path)
    remove_empty(folder)


def delete(path: Path) -> None:
    """Removes a file, or a folder with all in it; a link alone, not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def remove_empty(folder: Path) -> None:
    """Removes a folder if it is empty, and what then is empty above it.

    What `note_standing` has noted stays, and so does the working directory: a user made them.
    """
    for empty in (folder.absolute(), *folder.absolute().parents):
        if any(kept.is_relative_to(empty) for kept in (Path.cwd(), *_standing)):
            return
        try:
            empty.rmdir()
        except OSError:
            return
