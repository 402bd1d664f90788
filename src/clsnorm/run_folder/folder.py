"""The run folder: who may use it, and what it already holds."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from omegaconf import OmegaConf

from clsnorm.errors import InputError
from clsnorm.files import delete, remove, remove_empty, write_json, write_text

log = logging.getLogger(__name__)
PARENT_LOCK = ".lock"
WORKER_LOCK = ".workers.lock"
REPLACED = ".replaced"  # an earlier run, until the one that replaces it is accepted


class RunFolder:
    """Everything that one configuration leaves behind.

    ``config.yaml`` (resolved), ``metrics.csv``, ``events.csv``, ``predictions.parquet``, ``statistics/``,
    ``selected.ckpt``, ``last.ckpt`` (only while unfinished), ``error.json`` (of a crash) and ``results.json``, written
    last: its presence means finished.

    Args:
        path: The folder; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

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
        """Returns what ``results.json`` holds, or None if the run has not finished."""
        return json.loads(self.results.read_text()) if self.results.exists() else None

    def read_config(self) -> dict[str, Any]:
        """Returns what ``config.yaml`` holds; nothing if there is none."""
        return OmegaConf.to_container(OmegaConf.load(self.config)) if self.config.exists() else {}  # type: ignore[return-value]

    def record_error(self, error: BaseException, *, parent_tells: bool) -> None:
        """Writes ``error.json``, once: the first fault explains those that follow on other processes.

        Args:
            error: What happened; an interruption is no fault.
            parent_tells: Whether a parent process tells it: then refusals of the user's input are written, too.
        """
        if self.error.exists() or isinstance(error, KeyboardInterrupt | SystemExit):
            return
        refused = isinstance(error, InputError)
        if refused and not parent_tells:
            return
        text = "".join(traceback.format_exception(error))
        write_json(self.error, {"kind": type(error).__name__, "message": str(error), "traceback": text})
        if not parent_tells:
            log.error("crashed: %s: %s (%s)", type(error).__name__, error, self.error)

    @contextlib.contextmanager
    def claim(self, config: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
        """Holds the folder for this process and yields the results if the run has finished, else None.

        With ``config["force"]`` what an earlier run left is set aside first, unless it began with ``force`` as well and
        has not finished. If the work ends with an `InputError` before a checkpoint is there, a folder that was new is
        removed again and any other is left as it was.

        Raises:
            InputError: If a living process uses the folder, or it holds another configuration.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._check_no_strangers()
        with self._lock(PARENT_LOCK), self._lock(WORKER_LOCK, probe=True):
            new = not self._content()
            try:
                yield self._open(config)
            except InputError:
                self._undo(new)
                raise
            shutil.rmtree(self._replaced, ignore_errors=True)

    def discard_if_empty(self) -> None:
        """Removes the folder that Hydra made for a run that is refused before it has claimed it."""
        remove_empty(self.path)

    def _open(self, config: dict[str, Any]) -> dict[str, Any] | None:
        self._check_same_config(config)
        if config["force"] and not self._goes_on_by_force():
            self._set_aside()
        results = self.read_results()
        if results is None:
            self.error.unlink(missing_ok=True)
            write_text(self.config, OmegaConf.to_yaml(OmegaConf.create(config)))
        return results

    def _goes_on_by_force(self) -> bool:
        """Whether an unfinished run began with ``force`` itself: the same command, typed again, goes on with it."""
        return self.read_results() is None and self.read_config().get("force") is True

    def _check_no_strangers(self) -> None:
        """Refuses a folder of somebody else before even a lock is written into it."""
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
                "Choose another hydra.run.dir, or leave it out: names made from the configuration never clash"
            )

    @contextlib.contextmanager
    def _lock(self, name: str, *, probe: bool = False) -> Iterator[None]:
        with (self.path / name).open("a+") as file:
            self._acquire(file)
            if probe:  # only to see that no worker of a killed parent is still writing
                fcntl.flock(file, fcntl.LOCK_UN)
            yield

    def _acquire(self, file: IO[str]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise InputError(
                f"Expected {self.path} to be free, but process {file.read().strip() or 'of another machine'} is "
                "running in it. Wait for it to end, or stop it; then the same command goes on from its last checkpoint"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()

    @contextlib.contextmanager
    def hold_as_worker(self) -> Iterator[None]:
        """Marks the folder as used by a worker, which may outlive its parent for a moment."""
        with self._lock(WORKER_LOCK):
            yield

    def _content(self) -> list[Path]:
        ours = (PARENT_LOCK, WORKER_LOCK, REPLACED)
        return [path for path in self.path.iterdir() if path.name not in ours]

    @property
    def _replaced(self) -> Path:
        return self.path / REPLACED

    def _set_aside(self) -> None:
        """Moves an earlier run out of the way; it comes back if the new one is refused before it has trained."""
        shutil.rmtree(self._replaced, ignore_errors=True)
        self._replaced.mkdir()
        for path in self._content():
            path.rename(self._replaced / path.name)

    def _undo(self, new: bool) -> None:
        """Takes back what a refused run wrote, unless it holds training by now."""
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
