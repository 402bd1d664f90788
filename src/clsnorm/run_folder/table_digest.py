"""The sha256 of a CSV file that grows by a row at a time, known to its writer without reading the file."""

from __future__ import annotations

import hashlib
from typing import Any

from clsnorm.errors import is_whole

Mark = dict[str, Any]  # ``columns``, how many there are, and ``sha256``, None once rows were lost or have changed


class TableDigest:
    """Hashes what the writer of a table writes: the file is intact as long as it has this sha256.

    Attributes:
        intact: False once rows that were written before were lost or have changed.
    """

    def __init__(self) -> None:
        self.intact = True
        self.begin("", columns=0)

    def begin(self, text: str, *, columns: int) -> None:
        """The file now holds ``text``; its heading has so many columns."""
        self._columns, self._hash, self._last = columns, hashlib.sha256(text.encode()), b""

    def add(self, line: str) -> None:
        """A row was added."""
        self._hash.update(self._last)
        self._last = line.encode()

    def take_back(self) -> None:
        """The last row was removed; only the one of the last `add` can be."""
        self._last = b""

    def sha256(self) -> str:
        """Returns the sha256 of all that was written."""
        hashed = self._hash.copy()
        hashed.update(self._last)
        return hashed.hexdigest()

    def mark(self) -> Mark:
        """Returns what a resume point stores of the table, plain values."""
        return {"columns": self._columns, "sha256": self.sha256() if self.intact else None}


def as_mark(value: Any) -> Mark | None:
    """Returns ``value``, read from a file, if it is a `TableDigest.mark`, else None."""
    if not isinstance(value, dict) or set(value) != {"columns", "sha256"}:
        return None
    return value if is_whole(value["columns"]) and isinstance(value["sha256"], str | None) else None
