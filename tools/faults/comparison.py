"""What a command leaves behind, and how the remains of two commands differ."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from run_values import collect, flat

SHIFTING = ("commit", "versions", "digest")  # keys of analysis.json that may differ between equal analyses
TEXTS = (".html", ".svg", ".yaml")
IGNORED = re.compile(
    r"/changes(_\d+)?\.diff$"  # a changed working tree leaves one at each start
    r"|^tmp/torchelastic_"  # empty files of torchrun
)


@dataclass(frozen=True)
class Remains:
    """All values in a command's outputs, and the names of all files and folders below its working directory."""

    values: dict[str, Any] = field(repr=False)
    names: frozenset[str]

    def differences(self, other: Remains) -> list[str]:
        """Returns a line for each fault of ``other``, if these are the remains of an undisturbed command."""
        stray = [f"stray: {name}" for name in sorted(other.names - self.names)]
        missing = [f"missing: {name}" for name in sorted(self.names - other.names)]
        keys = sorted(self.values.keys() | other.values.keys())
        unequal = [key for key in keys if self.values.get(key, "absent") != other.values.get(key, "absent")]
        shown = [
            f"differs: {key}: {_short(self.values.get(key, 'absent'))} -> {_short(other.values.get(key, 'absent'))}"
            for key in unequal
        ]
        return stray + missing + shown


def _short(value: Any) -> str:
    return str(value)[:40]


def read_remains(work: Path, outputs: str) -> Remains:
    """Reads the outputs of a command in ``work``; a file that cannot be read is a value like any other."""
    folder = work / outputs
    try:
        values = {**collect(folder, resumed=False), **_pages(work, folder)}
    except Exception as error:
        values = {"unreadable": f"{type(error).__name__}: {error}"}
    names = (str(path.relative_to(work)) for path in work.rglob("*"))
    return Remains(values, frozenset(name for name in names if not (name.startswith("inputs") or IGNORED.search(name))))


def _pages(work: Path, folder: Path) -> dict[str, Any]:
    """Returns digests of pages, figures and configurations without the path of the working directory, and analyses."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix in TEXTS:
            text = path.read_text(errors="replace").replace(str(work), "WORK")
            found[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
        elif path.name == "analysis.json":
            record = {key: value for key, value in json.loads(path.read_text()).items() if key not in SHIFTING}
            found |= {f"{name} {key}": value for key, value in flat(record).items()}
    return found
