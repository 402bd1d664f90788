"""Tables and file names made of untrusted text."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # full-width forms count in some programs
LONGEST = 80  # characters of a file's name


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Returns CSV text in which no text is a formula to a spreadsheet: such a cell gets an apostrophe in front.

    Numbers are written so that they read back as the same floats.

    Example:
        >>> csv_text(["data", "layer00"], [["=1+1", -0.5], ["a,b", None]])
        'data,layer00\n\'=1+1,-0.5\n"a,b",\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_harmless, columns))
    writer.writerows(map(_harmless, row) for row in rows)
    return text.getvalue()


def _harmless(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r", "\n")  # which `csv` would not quote
    return f"'{text}" if text.startswith(FORMULA) else text


def file_name(text: str) -> str:
    """Returns ``text`` as a file's name: no folders, no hidden file, and another one for another ``text``.

    Example:
        >>> file_name("bert-base.v2"), file_name("../../evil")
        ('bert-base.v2', '_.._evil-0fbfd372')
    """
    plain = re.sub(r"[^\w.+=-]", "_", text).lstrip(".")[:LONGEST]
    return plain if plain == text and plain else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
