"""The sha256 of the files of a finished run that hold none themselves; ``results.json``, which is sealed, stores them.

Other files hold their own (`clsnorm.seals`). These are text that people read, edit and open in other programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clsnorm.files import digest

KEY = "files"  # in results.json: sha256 by file name; None if the file had been damaged before the run ended
NAMES = re.compile(r"\w+\.(csv|yaml|diff)", re.ASCII)
CURES = {"config.yaml": "If you edited it, ignore this; else restore it from a copy"}
CURE = "The numbers in results.json are right; restore the file from a copy, or do not use it"


def changes(folder: Path, results: Mapping[str, Any]) -> Iterator[str]:
    """Yields one sentence for each file that is not what the run has written.

    None for results of earlier versions, which store no digests. Other names than a run's do not count: results may
    come from someone else.
    """
    recorded = results.get(KEY)
    for name, expected in recorded.items() if isinstance(recorded, dict) else ():
        path = folder / name
        if NAMES.fullmatch(name) and (fault := _fault(path, expected)):
            yield f"{path} {fault}. {CURES.get(name, CURE)}"


def _fault(path: Path, expected: Any) -> str:
    if expected is None:
        return "was damaged before the run ended: rows were lost or changed"
    try:
        return "" if digest(path) == expected else "is not what the run wrote (its sha256 differs)"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
