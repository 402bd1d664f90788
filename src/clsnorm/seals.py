"""Digests inside files: whatever the package reads back is either intact or reported as damaged.

A sealed file contains the sha256 of all its other bytes, so file and digest appear by one rename. Other programs still
read it: a zip archive (``.ckpt``, ``.npz``) may have bytes after its end, a Parquet file before its footer, and JSON
has a last key ``digest``. Files of earlier versions have no seal and pass.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from clsnorm.errors import DamagedFileError

MARK = b"\nclsnorm sha256 "
SIZE = len(MARK) + 64 + 1
NOTE = b"\nclsnorm note "
LONGEST_NOTE = 1 << 12
KEY = "digest"  # of a JSON file
PARQUET, ZIP = b"PAR1", b"PK\x03\x04"
ZIP_END, ZIP_END_SIZE = b"PK\x05\x06", 22  # the last record of a zip archive, which may end with a comment
LONGEST_COMMENT = 1 << 16
BLOCK = 1 << 20
CHANGED = "its bytes are not those that were written (its sha256 differs)"
File = io.BufferedReader | io.BufferedRandom
_JSON_SEAL = re.compile(rf'  "{KEY}": "([0-9a-f]{{64}})"\n}}\n\Z')


class Hash(Protocol):
    """The part of `hashlib`'s hashes that is used here."""

    def hexdigest(self) -> str: ...

    def update(self, data: bytes, /) -> None: ...


def footer(hashed: Hash) -> bytes:
    """Returns the seal that holds the digest of all other bytes of a file."""
    return MARK + hashed.hexdigest().encode() + b"\n"


def seal(path: Path) -> None:
    """Seals a complete zip archive or Parquet file in place, once. Files of other kinds are left as they are."""
    with path.open("r+b") as file:
        if _end_of_content(file) is None or _seal_at(file, place := _place(file)).startswith(MARK):
            return
        place += SIZE  # there is no seal yet
        added = footer(hashlib.file_digest(_at(file, 0), "sha256"))
        rest = _at(file, place).read()
        _at(file, place).write(added + rest)


def write_note(path: Path, hashed: Hash, note: dict[str, Any]) -> None:
    """Adds plain values to a sealed zip archive, before its seal, without hashing the file again.

    Args:
        path: A draft: this is not atomic.
        hashed: The sha256 of the file without its seal.
        note: A few values.
    """
    text = NOTE + json.dumps(note).encode()
    hashed.update(text)
    with path.open("r+b") as file:
        file.seek(-SIZE, 2)
        file.write(text + footer(hashed))


def read_note(path: Path) -> dict[str, Any]:
    """Returns what `write_note` added to a file, which must have been verified; an empty dict if nothing was."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        tail = _at(file, max(0, size - LONGEST_NOTE)).read().removesuffix(_seal_at(file, size - SIZE))
    _, mark, text = tail.rpartition(NOTE)
    try:
        found = json.loads(text) if mark else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def verify(path: Path, advice: str = "") -> None:
    """Checks a sealed file, once per process as long as it does not change.

    Args:
        path: A zip archive or Parquet file; one without a seal passes.
        advice: What a user can do if it is damaged, as a sentence without its full stop.

    Raises:
        DamagedFileError: If bytes were changed, added or lost.
        OSError: If the file cannot be read.
    """
    status = path.stat()
    if fault := _fault_of(path, status.st_ino, status.st_size, status.st_mtime_ns):
        raise DamagedFileError.of(path, fault, advice)


@lru_cache(maxsize=1 << 12)
def _fault_of(path: Path, inode: int, size: int, changed: int) -> str | None:
    with path.open("rb") as file:
        if size == 0:
            return "it is empty"
        stored = _seal_at(file, place := _place(file))
        if stored.startswith(MARK):
            return None if stored == footer(_hash_around(file, place)) else CHANGED
        moved = MARK in _at(file, max(0, place - BLOCK)).read()  # bytes are missing after it, or were added
        if moved or _resembles_seal(stored) or _end_of_content(file) not in (size, None):
            return "its end is not what was written"
    return None


def _at(file: File, place: int) -> File:
    file.seek(place)
    return file


def _place(file: File) -> int:
    """Returns where the seal is if there is one: at the end, or before the footer of a Parquet file."""
    size = file.seek(0, 2)
    tail = _at(file, max(0, size - 8)).read()
    after = int.from_bytes(tail[:4], "little") + 8 if tail.endswith(PARQUET) else 0
    return size - after - SIZE


def _seal_at(file: File, place: int) -> bytes:
    return _at(file, place).read(SIZE) if place >= 0 else b""


def _hash_around(file: File, place: int) -> Hash:
    """Returns the sha256 of all bytes but those of the seal."""
    hashed, left = hashlib.sha256(), place
    file.seek(0)
    while left and (block := file.read(min(left, BLOCK))):
        hashed.update(block)
        left -= len(block)
    hashed.update(_at(file, place + SIZE).read())
    return hashed


def _resembles_seal(found: bytes) -> bool:
    """Is most of the mark there, so that these bytes must once have been a seal?"""
    return sum(a == b for a, b in zip(found, MARK, strict=False)) > len(MARK) // 2


def _end_of_content(file: File) -> int | None:
    """Returns where the content of a file ends, seals aside: -1 if it is cut, None if it is neither zip nor Parquet."""
    size, head = file.seek(0, 2), _at(file, 0).read(4)
    start = max(0, size - LONGEST_COMMENT - ZIP_END_SIZE - SIZE)
    tail = _at(file, start).read()
    if head == PARQUET:
        return size if tail.endswith(PARQUET) else -1
    if head != ZIP:
        return None
    found = tail.rfind(ZIP_END)
    if found < 0:
        return -1
    comment = int.from_bytes(tail[found + ZIP_END_SIZE - 2 : found + ZIP_END_SIZE], "little")
    return start + found + ZIP_END_SIZE + comment


def sealed_json(value: dict[str, Any]) -> str:
    """Returns ``value`` as indented JSON with a last key `KEY`; non-finite numbers become ``NaN`` and ``Infinity``."""
    content = {key: item for key, item in value.items() if key != KEY}
    text = json.dumps({**content, KEY: ""}, indent=2, default=str) + "\n"
    return text.removesuffix('""\n}\n') + f'"{_sha256(text)}"\n}}\n'


def read_json(path: Path, advice: str = "") -> dict[str, Any]:
    """Returns what `sealed_json` was given, read from a file, without `KEY`; one of an earlier version has none.

    Raises:
        DamagedFileError: If the file is not a JSON object, or was changed since it was written.
        OSError: If the file cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is empty" if not path.stat().st_size else f"it is not JSON ({' '.join(str(error).split())[:80]})"
        raise DamagedFileError.of(path, reason, advice) from None
    if not isinstance(value, dict):
        raise DamagedFileError.of(path, f"it holds {type(value).__name__} instead of an object", advice)
    if not _is_sound(text):
        raise DamagedFileError.of(path, CHANGED, advice)
    value.pop(KEY, None)
    return value


def sealed_line(value: dict[str, Any]) -> str:
    """Returns ``value`` as one line of JSON whose last key, `KEY`, is its digest; `read_line` verifies it."""
    content = json.dumps(value)
    return json.dumps({**value, KEY: _sha256(content)}) + "\n"


def read_line(line: str) -> dict[str, Any] | None:
    """Returns what `sealed_line` was given, or None if the line was cut or changed."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    found = value.pop(KEY, None)
    return value if found == _sha256(json.dumps(value)) else None


def _is_sound(text: str) -> bool:
    found = _JSON_SEAL.search(text)
    if found is None:
        return not _resembles_json_seal(text)
    return found[1] == _sha256(text[: found.start(1)] + text[found.end(1) :])


def _resembles_json_seal(text: str) -> bool:
    """Must the last key once have been a seal? 64 digits alone are no sign of it: other keys hold a sha256, too."""
    expected = f'  "{KEY}": "{"0" * 64}"'
    last = text.rstrip().removesuffix("}").rstrip().rpartition("\n")[2]
    return f'"{KEY}"' in last or (len(last) == len(expected) and sum(map(str.__eq__, last, expected)) > 10)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
