r"""Lines of text files, plain or compressed, decoded as they are read.

Lines end only at ``\n`` or ``\r\n``: text may contain other characters that Python treats as line ends (the ellipsis
of Windows-1252 read as Latin-1, U+2028).
"""

from __future__ import annotations

import codecs
import contextlib
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from clsnorm.errors import InputError

COMPRESSED = (".gz", ".zst")
BLOCK = 1 << 20


def knows_encoding(name: str) -> bool:
    """Returns whether Python has a text encoding of this name; ``base64`` and ``rot13`` encode other things."""
    try:
        return codecs.lookup(name)._is_text_encoding  # the check that `open` makes
    except (LookupError, TypeError):
        return False


@contextlib.contextmanager
def open_bytes(path: Path, shown: str) -> Iterator[BinaryIO]:
    """Opens a file for reading, decompressed if its extension is ``.gz`` or ``.zst``.

    Raises:
        InputError: Also within the ``with`` block, if the file cannot be read or decompressed.
    """
    import pyarrow as pa

    try:
        if path.suffix.lower() in COMPRESSED:
            with pa.input_stream(str(path), compression="detect") as stream:
                yield cast(BinaryIO, io.BufferedReader(stream, BLOCK))
        else:
            with path.open("rb", buffering=BLOCK) as file:
                yield file
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise InputError(f"Cannot read {shown}: {reason}. Download or copy the file again") from None


@contextlib.contextmanager
def open_lines(path: Path, encoding: str, shown: str, *, newline: str) -> Iterator[Iterator[str]]:
    r"""Opens a text file and yields an iterator over its lines, with their ends but without a byte-order mark.

    Args:
        path: The file.
        encoding: Its encoding.
        shown: Its name in messages.
        newline: What ends a line, as for `open`: ``"\n"``, or an empty string for any line end, which `csv` needs.

    Raises:
        InputError: Also within the ``with`` block: if a byte is invalid in the encoding (with its line), if the
            encoding is unknown, or if the file cannot be read.
    """
    try:
        with open_bytes(path, shown) as stream, io.TextIOWrapper(stream, encoding, newline=newline) as lines:
            first = next(lines, "").removeprefix("\ufeff")
            yield chain([first] if first else [], lines)
    except LookupError:
        raise InputError(f"Expected an encoding that Python knows for {shown}, but got {encoding!r}") from None
    except UnicodeDecodeError:
        _refuse_bytes(path, encoding, shown)
        raise


def text_lines(path: Path, encoding: str, shown: str) -> Iterator[tuple[int, str]]:
    r"""Yields the number of each line, counted from 1, and the line without its end.

    Lines are split at ``\n`` or ``\r\n`` only. A byte-order mark is skipped; ``.gz`` and ``.zst`` are decompressed.

    Raises:
        InputError: If the file is empty or cannot be read, or if a byte is invalid in the encoding (with its line).
    """
    blank = True
    with open_lines(path, encoding, shown, newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            blank = blank and not line.strip()
            yield number, line.removesuffix("\n").removesuffix("\r")
    if blank:
        refuse_empty(shown)


def refuse_empty(shown: str) -> None:
    """Raises InputError for an empty file."""
    raise InputError(f"Expected rows in {shown}, but the file is empty. Provide a file with at least one row")


def _refuse_bytes(path: Path, encoding: str, shown: str) -> None:
    """Reads the file again to find the line of the first invalid byte, and raises InputError with it."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    with open_bytes(path, shown) as stream:
        block = stream.read(BLOCK)
        while block:
            state = decoder.getstate()
            following = stream.read(BLOCK)
            try:
                line += decoder.decode(block, final=not following).count("\n")
            except UnicodeDecodeError as error:
                decoder.setstate(state)
                line += decoder.decode(block[: max(0, error.start - len(state[0]))]).count("\n")
                raise InputError(
                    f"{shown}, line {line}: byte {error.object[error.start]:#04x} is not {encoding}. Set the "
                    "file's encoding, such as latin-1 or cp1252"
                ) from None
            block = following
