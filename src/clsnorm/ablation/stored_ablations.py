"""Where a study is stored: ``ablations/NAME`` in the folder of its run."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clsnorm.ablation.plan import AblationPlan
from clsnorm.errors import DamagedFileError, refuse
from clsnorm.files import digest, write_sealed
from clsnorm.run_folder import RunFolder
from clsnorm.seals import read_json

LOST = "Delete it, and the same command writes it again"
NEEDED = ("plan", "weights", "select", "chosen", "report")


class AblationFolder:
    """The files of one study: ``ablation.json``, written last, ``ablation.csv`` and ``ablation.html``.

    Args:
        run: The folder of a finished run.
        name: Of the study, one word.

    Raises:
        InputError: If ``name`` is not one word of letters, digits, ``_`` and ``-``.
    """

    def __init__(self, run: Path, name: str) -> None:
        if not re.fullmatch(r"\w[\w-]*", name):
            refuse("name", "one word of letters, digits, _ and -", name, "Give --name outliers")
        self.run, self.path = RunFolder(run), run / "ablations" / name

    @property
    def record(self) -> Path:
        return self.path / "ablation.json"

    @property
    def page(self) -> Path:
        return self.path / "ablation.html"

    @property
    def table(self) -> Path:
        return self.path / "ablation.csv"

    def read(self, plan: AblationPlan) -> dict[str, Any] | None:
        """Returns the study if it was finished for the weights that the run has now; else None.

        Raises:
            InputError: If it was finished with another plan, or its file is damaged.
        """
        if not self.record.exists():
            return None
        found = read_json(self.record, LOST)
        if missing := [name for name in NEEDED if name not in found]:
            raise DamagedFileError.of(self.record, f"it lacks {', '.join(missing)}", LOST)
        if found["weights"] != digest(self.run.selected):
            return None
        if found["plan"] != asdict(plan):
            other = [name for name, value in asdict(plan).items() if found["plan"].get(name) != value]
            refuse(
                "name",
                f"new for other options ({', '.join(other)})",
                self.path.name,
                f"{self.record} was measured with others. Give another --name, or --force to replace it",
            )
        return found

    def write(self, record: dict[str, Any]) -> None:
        """Writes ``ablation.json``."""
        write_sealed(self.record, record)
