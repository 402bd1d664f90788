"""The beginning of a user's file: its bytes, its encoding, its first lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from pathlib import Path

from clsnorm.data.formats.encodings import knows_encoding, refuse_byte
from clsnorm.data.formats.text_lines import line_end, open_bytes, refuse_empty, refuse_undecodable
from clsnorm.errors import InputError

PREFIX = 4 << 20  # bytes of each file, for the encoding
MOST = 64 << 20  # or more, up to this, until there are LEAST lines
LINES = 1 << 19  # characters, for everything else; or more, until there are LEAST lines
LEAST = 10
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, which is its beginning
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


def prefix(path: Path, shown: str) -> bytes:
    """Returns the first bytes of a file, decompressed; raises InputError if the file is empty."""
    with open_bytes(path, shown) as stream:
        beginning = more = stream.read(PREFIX)
        while more and len(beginning) < MOST and beginning.count(b"\n") + beginning.count(b"\r") < LEAST:
            more = stream.read(PREFIX)
            beginning += more
    if not beginning.strip():
        refuse_empty(shown)
    return beginning


def first_lines(path: Path, encoding: str) -> tuple[str, bool]:
    """Returns the first complete lines of a file, and whether they are the whole file."""
    beginning = prefix(path, str(path))
    if not knows_encoding(encoding):
        raise InputError(f"Expected a data.encoding that Python knows, but got {encoding!r}")
    try:
        text = codecs.getincrementaldecoder(encoding)("replace").decode(beginning).lstrip("\ufeff")
    except UnicodeError as error:
        refuse_undecodable(error, encoding, str(path))
    if len(beginning) < PREFIX and len(text) <= LINES:
        return text, True
    end = line_end(text)
    cut = text.rfind(end, 0, LINES)
    if text.count(end, 0, LINES) < LEAST:
        cut = text.rfind(end)
    return text[: cut + 1] or text, False


def infer_encoding(files: Iterable[Path]) -> str:
    """Returns the encoding of the beginnings of all ``files``: that of the byte-order mark, else UTF-8.

    Raises:
        InputError: If a file has no mark and is not UTF-8, with the line and what its encoding may be; if it contains
            zero bytes; or if files have different encodings.
    """
    found: dict[str, Path] = {}
    for path in files:
        found.setdefault(_encoding(prefix(path, str(path)), str(path)), path)
    found.pop("ascii", None)  # fits all others
    if len(found) > 1:
        listed = ", ".join(f"{path} is {encoding}" for encoding, path in found.items())
        raise InputError(f"Expected files of one encoding, but {listed}. Convert them, or set data.encoding")
    return next(iter(found), "utf-8")


def _encoding(beginning: bytes, shown: str) -> str:
    for mark, encoding in MARKS.items():
        if beginning.startswith(mark):
            return encoding
    if b"\0" in beginning:
        _refuse_zeros(beginning, shown)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError as error:
        line = beginning.count(b"\n", 0, error.start) + 1
        refuse_byte(beginning, error.start, encoding="utf-8", line=line, shown=shown)
    return "ascii" if beginning.isascii() else "utf-8"


def _refuse_zeros(beginning: bytes, shown: str) -> None:
    """Raises InputError for zero bytes: of UTF-16 or UTF-32 without a mark, of another format, or stray ones."""
    first = beginning.index(b"\0")
    line = beginning.count(b"\n", 0, first) + 1
    fault = f"Expected text in {shown}, but line {line} has a zero byte"
    if beginning.count(b"\0") > len(beginning) / 10:
        for encoding in WIDE:
            text = codecs.getincrementaldecoder(encoding)("replace").decode(beginning)
            if _reads_as_text(text):
                raise InputError(f"{fault}. Set data.encoding={encoding}, which reads {text[:40].splitlines()[0]!r}")
        raise InputError(f"{fault}, and there are many: it is not a text file. Provide another file")
    raise InputError(
        f"{fault}. Delete it, or set data.encoding to read it as a character: utf-8, or the file's encoding"
    )


def _reads_as_text(text: str) -> bool:
    """Does decoded text have lines, no invalid characters, and mostly ASCII?"""
    mostly_ascii = sum(map(str.isascii, text)) > len(text) / 2
    return "\n" in text and "\0" not in text and "\ufffd" not in text and mostly_ascii
