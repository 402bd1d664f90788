"""Submissions of workers to a cluster: what the workers need, and the name by which the cluster knows them.

A submission is written before the cluster is asked, and completed by the cluster's answer. If a command dies in
between, the next one finds the workers by their name. Even unknown workers do no harm: a job belongs to whoever holds
its lease.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clsnorm.command.sweep import QUIET, RECORDS, WORKER, WORKERS
from clsnorm.errors import DamagedFileError
from clsnorm.files import delete, write_sealed, write_text
from clsnorm.seals import read_json
from clsnorm.sweep.baseline import Baseline

PREFIX = "slurm-"
INTENT, RECEIPT, BASELINE, SCRIPT = "intent.json", "receipt.json", "baseline.json", "worker.sh"


@dataclass(frozen=True)
class Submission:
    """Workers that were submitted together, by their folder in the sweep's."""

    folder: Path

    @classmethod
    def prepare(cls, sweep: Path, baseline: Baseline, words: Sequence[str], threads: int, workers: int) -> Submission:
        """Writes what the workers need, and the intent to submit them."""
        folder = sweep / WORKERS / f"{PREFIX}{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True)
        baseline.write(folder / BASELINE)
        write_text(folder / SCRIPT, script_of(words, folder / BASELINE, threads))
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_sealed(folder / INTENT, {"workers": workers, "since": since, "words": list(words)})
        return cls(folder)

    @property
    def name(self) -> str:
        """Under which the cluster knows these workers, and no others."""
        return f"clsnorm-{self.folder.name.removeprefix(PREFIX)}"

    @property
    def script(self) -> Path:
        return self.folder / SCRIPT

    @property
    def log(self) -> str:
        """Pattern of the files in which the workers print; ``%`` has a meaning for SLURM."""
        return f"{str(self.folder).replace('%', '%%')}/%a.log"

    def complete(self, job: str) -> None:
        """Stores the number that the cluster has given."""
        write_sealed(self.folder / RECEIPT, {"job": job})

    def job(self) -> str | None:
        """Returns that number; None if it has never arrived."""
        with contextlib.suppress(OSError, DamagedFileError, KeyError):
            return str(read_json(self.folder / RECEIPT)["job"])
        return None

    def remove(self) -> None:
        """Removes all files, such as of workers that have ended."""
        with contextlib.suppress(OSError):
            delete(self.folder)
            self.folder.parent.rmdir()  # unless there are others


def submissions(sweep: Path) -> Iterator[Submission]:
    """Yields all submissions for a sweep of which something is left, in no order."""
    for path in (sweep / WORKERS).glob(f"{PREFIX}*"):
        if re.fullmatch(rf"{PREFIX}[0-9a-f]{{12}}", path.name):
            yield Submission(path)


def script_of(words: Sequence[str], baseline: Path, threads: int) -> str:
    """Returns the batch script of a worker: the sweep's own command once more.

    The signals before a time limit or a preemption are ignored until Python handles them: they would end it.
    """
    return f"""#!/bin/bash
trap '' USR1 TERM
unset {RECORDS} {QUIET}
export {WORKER}={shlex.quote(str(baseline))}
export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{threads}}}
exec {shlex.join(words)}
"""
