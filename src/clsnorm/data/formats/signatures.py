"""Files of other formats under the name of a text file, recognized by their first bytes."""

from __future__ import annotations

import re

from clsnorm.errors import InputError

HEAD = 2048  # bytes that are looked at
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
UNPACK = "Unpack it"
SIGNATURES = (
    (rb"PK\x03\x04.*?xl/", "an Excel workbook", "Save it as CSV in UTF-8"),
    (rb"PK\x03\x04.*?opendocument\.spreadsheet", "an OpenDocument spreadsheet", "Save it as CSV in UTF-8"),
    (rb"PK\x03\x04.*?word/", "a Word document", "Save its table as CSV in UTF-8"),
    (rb"PK(\x03\x04|\x05\x06)", "a zip archive", UNPACK),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word file", "Save it as CSV in UTF-8"),
    (rb"\x1f\x8b", "a gzip file", UNPACK),
    (rb"\x28\xb5\x2f\xfd", "a zstd file", UNPACK),
    (rb"BZh[1-9]1AY&SY", "a bzip2 file", UNPACK),
    (rb"\xfd7zXZ\x00", "an xz file", UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (rb".{257}ustar", "a tar archive", UNPACK),
    (rb"PAR1", "a Parquet file", "Name it with the extension .parquet"),
    (rb"ARROW1\0\0|\xff{4}.{3}\0", "an Arrow or Feather file", "Write it as Parquet"),
    (rb"ORC[\x00-\x1f\x80-\xff].{0,9}[\x00-\x08\x80-\xff]", "an ORC file", "Write it as Parquet"),
    (rb"Obj\x01", "an Avro file", "Write it as Parquet"),
    (rb"SQLite format 3\0", "an SQLite database", "Export the table as CSV in UTF-8"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", "Write the table as Parquet"),
    (rb"\x93NUMPY", "a NumPy file", "Write the table as Parquet"),
    (rb"\x80[\x02-\x05][\x00-\x1f\x5d\x63\x7d\x80-\xff]", "a Python pickle", "Write the table as Parquet"),
    (rb"%PDF-", "a PDF document", "Provide its table as CSV in UTF-8"),
    (rb"\{\\rtf", "an RTF document", "Save it as plain text"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a", "an image", "Provide a text file"),
    (rb"version https://git-lfs\.github\.com/spec/", "a pointer of Git LFS, not the file", "Run git lfs pull"),
    (rb"\s*<\?xml\b", "an XML file", "Write its rows as CSV"),
    (rb"(?i)\s*(<!doctype html|<html).*</?(head|body|title)\b", "a web page", "Download the file again"),
)
PATTERNS = [(re.compile(pattern, re.DOTALL), kind, cure) for pattern, kind, cure in SIGNATURES]


def compression_of(head: bytes) -> str | None:
    """Returns ``gzip`` or ``zstd`` if a file that begins with ``head`` is compressed so."""
    return next((name for mark, name in COMPRESSIONS.items() if head.startswith(mark)), None)


def refuse_other_formats(head: bytes, shown: str, *, expected: str = "text") -> None:
    """Raises InputError if a file that begins with ``head`` is of a format that has no text to read.

    Args:
        head: The first bytes, at least ``HEAD`` if there are as many.
        shown: The file, as messages name it.
        expected: The format that the extension promises.
    """
    for pattern, kind, cure in PATTERNS:
        if pattern.match(head):
            raise InputError(f"Expected {expected} in {shown}, but by its first bytes it is {kind}. {cure}")
