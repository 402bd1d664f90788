"""Writing files so that a reader never meets half of one."""

import json
import os
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` atomically: a temporary file beside it, then a rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, atomically; non-finite numbers become ``NaN`` and ``Infinity``."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")
