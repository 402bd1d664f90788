r"""Lines of text files, plain or compressed, decoded as they are read.

Lines end only at ``\n`` or ``\r\n``: text may contain other characters that Python treats as line ends (the ellipsis
of Windows-1252 read as Latin-1, U+2028). Tables may also end their lines by ``\r`` alone.
"""

from __future__ import annotations

import codecs
import contextlib
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from clsnorm.data.formats.encodings import refuse_byte
from clsnorm.data.formats.signatures import HEAD, compression_of, refuse_other_formats
from clsnorm.errors import InputError

COMPRESSED = (".gz", ".zst")
BLOCK = 1 << 20
CONTEXT = 1 << 22  # bytes around an invalid one from which its encoding is judged


@contextlib.contextmanager
def open_bytes(path: Path, shown: str) -> Iterator[io.BufferedReader[Any]]:
    """Opens a text file for reading; a gzip or zstd file is decompressed, whatever its name.

    Raises:
        InputError: Also within the ``with`` block, if the file cannot be read or decompressed, or if its first bytes
            are those of another format.
    """
    import pyarrow as pa

    try:
        with io.BufferedReader(path.open("rb", buffering=0), BLOCK) as file:
            compression = compression_of(file.peek(4))
            if compression is None:
                _require_as_named(path, file.peek(1), shown)
                refuse_other_formats(file.peek(HEAD), shown)
                yield file
                return
        with pa.input_stream(str(path), compression=compression) as stream:
            reader = io.BufferedReader(stream, BLOCK)
            refuse_other_formats(reader.peek(HEAD), shown)
            yield reader
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise InputError(f"Cannot read {shown}: {reason}. Download or copy the file again") from None


def _require_as_named(path: Path, head: bytes, shown: str) -> None:
    """Raises InputError for a file that is not compressed, if its name says so."""
    if head and path.suffix.lower() in COMPRESSED:
        raise InputError(
            f"Cannot read {shown}: its name ends in {path.suffix}, but it is not compressed. Download or copy the file "
            f"again, or remove {path.suffix} from its name"
        )


@contextlib.contextmanager
def open_lines(path: Path, encoding: str, shown: str, *, newline: str | None) -> Iterator[Iterator[str]]:
    r"""Opens a text file and yields an iterator over its lines, with their ends but without a byte-order mark.

    Args:
        path: The file.
        encoding: Its encoding.
        shown: Its name in messages.
        newline: What ends a line, as for `open`: ``"\n"``, or an empty string for any line end, which `csv` needs.
            None: ``"\n"``, or ``"\r"`` if the file has no other.

    Raises:
        InputError: Also within the ``with`` block: if a byte is invalid in the encoding (with its line), if the
            encoding is unknown, or if the file cannot be read.
    """
    try:
        with open_bytes(path, shown) as stream:
            end = line_end(stream.peek(BLOCK)) if newline is None else newline
            with io.TextIOWrapper(stream, encoding, newline=end) as lines:
                first = next(lines, "").lstrip("\ufeff")
                yield chain([first] if first else [], lines)
    except LookupError:
        raise InputError(f"Expected an encoding that Python knows for {shown}, but got {encoding!r}") from None
    except UnicodeDecodeError:
        _refuse_bytes(path, encoding, shown)
        raise
    except UnicodeError as error:
        refuse_undecodable(error, encoding, shown)


def line_end(beginning: bytes | str) -> str:
    r"""Returns what ends the lines of a table: ``"\r"``, as of old Macs, if there is no ``"\n"``."""
    feed, carriage = ("\n", "\r") if isinstance(beginning, str) else (b"\n", b"\r")
    return "\r" if feed not in beginning and carriage in beginning else "\n"  # type: ignore[operator]


def text_lines(path: Path, encoding: str, shown: str, *, newline: str | None = "\n") -> Iterator[tuple[int, str]]:
    r"""Yields the number of each line, counted from 1, and the line without its end.

    Lines are split at ``\n`` or ``\r\n`` only, unless ``newline`` is None, as in `open_lines`. A byte-order mark is
    skipped; gzip and zstd files are decompressed.

    Raises:
        InputError: If the file is empty or cannot be read, or if a byte is invalid in the encoding (with its line).
    """
    blank = True
    with open_lines(path, encoding, shown, newline=newline) as lines:
        for number, line in enumerate(lines, 1):
            blank = blank and not line.strip()
            yield number, without_end(line)
    if blank:
        refuse_empty(shown)


def without_end(line: str) -> str:
    """Returns a line without the characters that end it."""
    return line.removesuffix("\n").removesuffix("\r")


def refuse_empty(shown: str) -> None:
    """Raises InputError for an empty file."""
    raise InputError(f"Expected rows in {shown}, but the file is empty. Provide a file with at least one row")


def refuse_undecodable(error: UnicodeError, encoding: str, shown: str) -> NoReturn:
    """Raises InputError for a fault of a whole file, such as UTF-16 without a byte-order mark."""
    raise InputError(
        f"Cannot read {shown} as {encoding}: {error}. Set another encoding, such as {encoding}-le"
    ) from None


def _refuse_bytes(path: Path, encoding: str, shown: str) -> None:
    """Reads the file again to find the line of the first invalid byte, and raises InputError with it."""
    decoder, line, before = codecs.getincrementaldecoder(encoding)(), 1, b""
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
                at = len(before) - len(state[0]) + error.start
                refuse_byte(before + block + following, at, encoding=encoding, line=line, shown=shown)
            before = (before + block)[-CONTEXT:]
            block = following
