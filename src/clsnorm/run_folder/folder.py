"""The run folder: its paths, what it holds, and who may write into it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsnorm.errors import InputError
from clsnorm.files import delete, remove, remove_empty, write_text
from clsnorm.run_folder import lock
from clsnorm.run_folder.error import read_error, write_error
from clsnorm.run_folder.events import read_events
from clsnorm.run_folder.predictions import read_predictions
from clsnorm.run_folder.results import read_results
from clsnorm.run_folder.series import Series, read_last_row, read_series

if TYPE_CHECKING:
    import pyarrow as pa

CONFIG = "config.yaml"
REPLACED = ".replaced"  # an earlier run, until the one that replaces it is accepted


class RunFolder:
    """All files of the run of one configuration.

    ``config.yaml`` (resolved), ``metrics.csv``, ``events.csv``, ``predictions.parquet``, ``statistics/``,
    ``selected.ckpt``, ``last.ckpt`` (only while unfinished), ``error.json`` (only after a crash) and ``results.json``,
    written last: its presence means finished.

    Args:
        path: The folder; it need not exist.
    """

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
        return read_results(self.results)

    def require_results(self) -> dict[str, Any]:
        """Returns ``results.json``; raises InputError if the run has not finished."""
        results = self.read_results()
        if results is None:
            raise InputError(f"Expected {self.path} to hold a finished run (results.json), but it does not")
        return results

    def read_config(self) -> dict[str, Any]:
        """Returns ``config.yaml``; an empty dict if it does not exist."""
        if not self.config.exists():
            return {}
        from omegaconf import OmegaConf  # slow to import and to parse: most readers need only results.json

        return OmegaConf.to_container(OmegaConf.load(self.config))  # type: ignore[return-value]

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
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(self.path.glob("changes*.diff"))}

    def snapshots(self) -> dict[str, Path]:
        """Returns the files that `clsnorm.statistics.load` reads, by name, such as ``report_h``."""
        return {path.stem: path for path in sorted(self.statistics.glob("*.npz"))}

    def record_error(self, error: BaseException, *, parent_reports: bool) -> None:
        """Writes ``error.json``, as `clsnorm.run_folder.error.write_error` does."""
        write_error(self.error, error, parent_reports=parent_reports)

    @contextlib.contextmanager
    def claim(self, config: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
        """Holds the folder for this process and yields the results if the run has finished, else None.

        With ``config["force"]`` an earlier run's files are set aside first, unless that run also began with ``force``
        and has not finished. If the work ends with an `InputError` before a checkpoint exists, a new folder is removed
        again and any other is restored.

        Raises:
            InputError: If a running process uses the folder, or it holds another configuration.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._check_no_strangers()
        with lock.locked(self.path, lock.PARENT):
            lock.require_unlocked(self.path, lock.WORKERS)  # a worker may outlive its killed parent
            new = not self._content()
            try:
                yield self._open(config)
            except InputError:
                self._undo(new)
                raise
            shutil.rmtree(self._replaced, ignore_errors=True)

    def discard_if_empty(self) -> None:
        """Removes the folder that Hydra created for a run that was refused before it claimed it."""
        remove_empty(self.path)

    def _open(self, config: dict[str, Any]) -> dict[str, Any] | None:
        self._check_same_config(config)
        if config["force"] and not self._resumes_by_force():
            self._set_aside()
        results = self.read_results()
        if results is None:
            self.error.unlink(missing_ok=True)
            self._write_config(config)
        return results

    def _write_config(self, config: dict[str, Any]) -> None:
        from omegaconf import OmegaConf

        write_text(self.config, OmegaConf.to_yaml(OmegaConf.create(config)))

    def _resumes_by_force(self) -> bool:
        """Whether an unfinished run began with ``force`` itself: then the same command resumes it."""
        return self.read_results() is None and self.read_config().get("force") is True

    def _check_no_strangers(self) -> None:
        """Refuses a folder with files that are not of a run, before even a lock is written into it."""
        if (content := self._content()) and not self.config.exists() and not self._replaced.exists():
            names = ", ".join(sorted(path.name for path in content)[:3])
            raise InputError(
                f"Expected {self.path} to be empty or to hold a run, but found {names} and no "
                "config.yaml. Choose another hydra.run.dir"
            )

    def _check_same_config(self, config: dict[str, Any]) -> None:
        if not self.config.exists():
            return
        found = self.read_config().get("config_hash")
        if found != config["config_hash"]:
            raise InputError(
                f"Expected {self.path} to hold configuration {config['config_hash']}, but it holds {found}. "
                "Choose another hydra.run.dir, or leave it out: names derived from the configuration never clash"
            )

    @contextlib.contextmanager
    def hold_as_worker(self) -> Iterator[None]:
        """Marks the folder as used by a worker, which may outlive its parent for a moment."""
        with lock.locked(self.path, lock.WORKERS):
            yield

    def _content(self) -> list[Path]:
        ours = (lock.PARENT, lock.WORKERS, REPLACED)
        return [path for path in self.path.iterdir() if path.name not in ours]

    @property
    def _replaced(self) -> Path:
        return self.path / REPLACED

    def _set_aside(self) -> None:
        """Sets an earlier run aside; it is restored if the new one is refused before it has trained."""
        shutil.rmtree(self._replaced, ignore_errors=True)
        self._replaced.mkdir()
        for path in self._content():
            path.rename(self._replaced / path.name)

    def _undo(self, new: bool) -> None:
        """Removes what a refused run wrote, unless it has already trained."""
        if self.last.exists() or self.selected.exists():
            return
        if new:
            remove(self.path)
        elif self._replaced.exists():
            for path in self._content():
                delete(path)
            for path in self._replaced.iterdir():
                path.rename(self.path / path.name)
            self._replaced.rmdir()


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
