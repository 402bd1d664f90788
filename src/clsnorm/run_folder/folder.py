"""The run folder: its paths, what it holds, and who may write into it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsnorm.errors import InputError
from clsnorm.files import disk_error, is_draft, remove_empty
from clsnorm.run_folder import file_digests, lease, stored_config
from clsnorm.run_folder.error import read_error, write_error
from clsnorm.run_folder.events import read_events
from clsnorm.run_folder.predictions import read_predictions
from clsnorm.run_folder.results import LOST, read_results, require
from clsnorm.run_folder.series import Series, read_last_row, read_series

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)
CONFIG = "config.yaml"
REPLACED = ".replaced"  # an earlier run, until the one that replaces it is accepted
_WEIGHTS = re.compile(r"step-(\d{6,})\.ckpt", re.ASCII)


class RunFolder:
    """All files of the run of one configuration.

    ``config.yaml`` (resolved), ``metrics.csv``, ``events.csv``, ``predictions.parquet``, ``statistics/``,
    ``selected.ckpt``, ``weights/`` (only with ``keep_weights=all``), ``last.ckpt`` (only while unfinished),
    ``error.json`` (only after a crash) and ``results.json``, written last: its presence means finished.

    Args:
        path: The folder; it need not exist.

    Attributes:
        LOST: What a user can do if `results` is damaged.
    """

    LOST = LOST

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config(self) -> Path:
        return self.path / CONFIG

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def events(self) -> Path:
        return self.path / "events.csv"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.parquet"

    @property
    def statistics(self) -> Path:
        return self.path / "statistics"

    @property
    def selected(self) -> Path:
        return self.path / "selected.ckpt"

    @property
    def last(self) -> Path:
        return self.path / "last.ckpt"

    @property
    def error(self) -> Path:
        return self.path / "error.json"

    @property
    def results(self) -> Path:
        return self.path / "results.json"

    def read_results(self) -> dict[str, Any] | None:
        """Returns ``results.json``, or None if the run has not finished."""
        return read_results(self.results, self.LOST)

    def require_results(self, names: Iterable[str] = ()) -> dict[str, Any]:
        """Returns ``results.json``; raises InputError if the run has not finished, or its results lack a name."""
        found = self.read_results()
        if found is None:
            raise InputError(f"Expected {self.path} to hold a finished run (results.json), but it does not")
        require(found, self.results, names, self.LOST)
        return found

    def read_config(self) -> dict[str, Any]:
        """Returns ``config.yaml``; an empty dict if it does not exist."""
        return stored_config.read_config(self.config)

    def require_config(self) -> dict[str, Any]:
        """Returns ``config.yaml``; raises InputError if it is missing or lacks a part of a run."""
        found = self.read_config()
        stored_config.require_parts(found, self.config)
        return found

    def read_series(self) -> dict[str, Series]:
        """Returns steps and values of each logged number; raises InputError if ``metrics.csv`` does not exist."""
        if not self.metrics.exists():
            raise InputError(f"Expected {self.path} to hold what a run has logged (metrics.csv), but it does not")
        return read_series(self.metrics)

    def read_last_row(self) -> dict[str, float]:
        """Returns the last row of ``metrics.csv``, quickly; an empty dict if nothing was logged."""
        return read_last_row(self.metrics)

    def read_events(self) -> list[dict[str, str]]:
        """Returns the rows of ``events.csv``."""
        return read_events(self.events)

    def read_predictions(self) -> pa.Table | None:
        """Returns ``predictions.parquet``, or None if the run has none yet."""
        return read_predictions(self.predictions)

    def read_error(self) -> dict[str, Any] | None:
        """Returns ``error.json``, or None if the run has not crashed."""
        return read_error(self.error)

    def read_diffs(self) -> dict[str, str]:
        """Returns the differences of the code from its commit, by file name (``changes.diff``); often none."""
        return {path.name: path.read_text("utf-8", errors="replace") for path in self.diffs()}

    def diffs(self) -> list[Path]:
        """Returns the files of `read_diffs`."""
        return sorted(self.path.glob("changes*.diff"))

    def changes(self, results: Mapping[str, Any]) -> list[str]:
        """Returns a sentence for each file that is not what the run wrote, for files that hold no digest themselves.

        Such a file is no reason to refuse a finished run: its results and weights are sealed and checked.

        Args:
            results: ``results.json``, which has the digests; none in one of an earlier version.
        """
        return list(file_digests.changes(self.path, results))

    def warn_of_changes(self, results: Mapping[str, Any]) -> None:
        """Logs a warning for each of the `changes`."""
        for change in self.changes(results):
            log.warning("%s", change)

    def weights_after(self, step: int) -> Path:
        """Returns where ``keep_weights=all`` stores the weights of the validation after ``step`` optimizer steps."""
        return self.path / "weights" / f"step-{step:06}.ckpt"

    def validated_weights(self) -> dict[int, Path]:
        """Returns the files that `weights_after` names and that exist, by step."""
        found = ((_WEIGHTS.fullmatch(path.name), path) for path in self.weights_after(0).parent.glob("*"))
        return dict(sorted((int(match[1]), path) for match, path in found if match))

    def snapshots(self) -> dict[str, Path]:
        """Returns the files that `clsnorm.statistics.load` reads, by name, such as ``report_h``."""
        return {path.stem: path for path in sorted(self.statistics.glob("*.npz"))}

    def record_error(self, error: BaseException, *, parent_reports: bool) -> None:
        """Writes ``error.json``, as `clsnorm.run_folder.error.write_error` does."""
        write_error(self.error, error, parent_reports=parent_reports)

    @contextlib.contextmanager
    def recording_errors(self, *, parent_reports: bool) -> Iterator[None]:
        """Writes ``error.json`` if the ``with`` block fails; an error caused by the disk becomes a `DiskError`."""
        try:
            yield
        except BaseException as error:
            reported = disk_error(error, self.path) or error
            self.record_error(reported, parent_reports=parent_reports)
            if reported is not error:
                raise reported from error
            raise

    @contextlib.contextmanager
    def hold_as_worker(self) -> Iterator[None]:
        """Marks the folder as used by a worker, which may outlive its parent for a moment."""
        with lease.leased(self.path, lease.WORKERS):
            yield

    def remove_leftovers(self) -> None:
        """Removes what a finished run has left if it, or one of its workers, was killed after its results."""
        for path in (self.last, self.error):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def discard_if_empty(self) -> None:
        """Removes the folder that Hydra created for a run that was refused before it claimed it."""
        remove_empty(self.path)

    def files(self) -> list[Path]:
        """Returns the paths of all files of a run, whether they exist or not."""
        logged = [self.config, self.metrics, self.events, self.error]
        return [*logged, self.predictions, self.selected, self.last, self.results]

    def proving_files(self) -> list[Path]:
        """Returns the existing files that would be lost if the folder were used for another configuration."""
        return [path for path in (self.results, self.last, self.selected) if path.exists()]

    def content(self) -> list[Path]:
        """Returns what is in the folder, but for leases, drafts and an earlier run that was set aside."""
        leases = {lease.PARENT, lease.WORKERS, *lease.OLD}
        ours = {*leases, REPLACED, *(path.name for path in self.checkpoint_drafts())}
        found = [path for path in self.path.iterdir() if path.name not in ours and not is_draft(path)]
        return [path for path in found if not path.name.startswith(lease.MACHINES)]

    def checkpoint_drafts(self) -> list[Path]:
        """Returns where checkpoints are written until they are complete."""
        of_validations = self.weights_after(0).parent.glob(".step-*.ckpt")
        return [*(path.with_name(f".{path.name}") for path in (self.last, self.selected)), *of_validations]


def find_runs(folder: Path) -> list[RunFolder]:
    """Returns the runs in ``folder`` and below, finished or not, sorted by path: each folder with a ``config.yaml``.

    Hidden folders, such as an earlier run that is being replaced, are skipped; so is what lies within a run.
    """
    found = []
    for place, folders, files in os.walk(folder):
        if CONFIG in files:
            found.append(Path(place))
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]
    return [RunFolder(path) for path in sorted(found)]
