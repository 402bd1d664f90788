"""Claiming a run's folder: who may write into it, and which of its files stay."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError, DiskError, InputError
from clsnorm.files import delete, remove, remove_drafts, require_held, writing
from clsnorm.run_folder import stored_config
from clsnorm.run_folder.folder import REPLACED, RunFolder
from clsnorm.run_folder.lease import PARENT, WORKERS, leased, require_free

log = logging.getLogger(__name__)


class Claim:
    """One process's use of a run's folder.

    Args:
        folder: The folder; it need not exist.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder, self._path = folder, folder.path

    @contextlib.contextmanager
    def hold(self, config: dict[str, Any], *, patient: bool = True) -> Iterator[dict[str, Any] | None]:
        """Holds the folder for this process and yields the results if the run has finished, else None.

        With ``config["force"]`` an earlier run's files are set aside first, unless that run also began with ``force``
        and has not finished. If the work ends with an `InputError` before a checkpoint exists, a new folder is removed
        again and any other is restored. A finished run on a disk that cannot be written is only read.

        Args:
            config: The requested configuration.
            patient: Whether to wait until it is certain whether a process of another machine, from which nothing was
                heard yet, still uses the folder. If not, it counts as in use.

        Raises:
            InUseError: If a running process uses the folder.
            InputError: If it holds another configuration or a damaged file.
            DiskError: If the folder cannot be written.
        """
        with writing(self._path):
            self._path.mkdir(parents=True, exist_ok=True)
        self._check_no_strangers(config)
        self._check_kinds()
        if self._can_only_be_read() and not config["force"]:
            self._check_same_config(config)
            yield self._folder.read_results()
            return
        with leased(self._path, PARENT, patient=patient):
            require_free(self._path, WORKERS, patient=patient)  # a worker may outlive its killed parent
            self._remove_drafts()
            new = not self._folder.content()
            try:
                with self._naming():
                    results = self._open(config)
                yield results
            except InputError:
                with self._naming():
                    self._undo(new)
                raise
            require_held(self._path)
            shutil.rmtree(self._replaced, ignore_errors=True)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Turns an `OSError` into a `DiskError`, which names the file or else the folder."""
        try:
            yield
        except DiskError:
            raise
        except OSError as error:
            raise DiskError.of(error.filename or self._path, error) from error

    def _can_only_be_read(self) -> bool:
        """Is this a finished run in a folder that cannot be written?"""
        return self._folder.results.exists() and not os.access(self._path, os.W_OK)

    def _remove_drafts(self) -> None:
        """Removes what a killed run was writing."""
        with writing(self._path):
            remove_drafts(self._path)
            for path in self._folder.checkpoint_drafts():
                path.unlink(missing_ok=True)

    def _open(self, config: dict[str, Any]) -> dict[str, Any] | None:
        self._check_same_config(config)
        if config["force"] and not self._resumes_by_force():
            self._set_aside()
        self._drop_results_of_interrupted()
        results = self._folder.read_results()
        if results is None:
            self._folder.error.unlink(missing_ok=True)
            stored_config.write_config(self._folder.config, config)
        else:
            stored_config.repair(self._folder.config, config)
            self._folder.remove_leftovers()
        return results

    def _drop_results_of_interrupted(self) -> None:
        """Removes damaged results if the run can still be resumed, which then writes them again."""
        try:
            self._folder.read_results()
        except DamagedFileError as error:
            if not self._folder.last.exists():
                raise
            log.warning("%s: the run resumes from %s and writes it again", error, self._folder.last)
            self._folder.results.unlink()

    def _resumes_by_force(self) -> bool:
        """Did an unfinished run begin with ``force`` itself? Then the same command resumes it."""
        if self._folder.results.exists():
            return False
        with contextlib.suppress(DamagedFileError):
            return self._folder.read_config().get("force") is True
        return False

    def _check_no_strangers(self, config: dict[str, Any]) -> None:
        """Refuses a folder with files that are not of a run, before even a lock is written into it."""
        content = self._folder.content()
        if not content or self._folder.config.exists() or self._replaced.exists():
            return
        if config[stored_config.HASH] not in self._proofs():
            names = ", ".join(sorted(path.name for path in content)[:3])
            raise InputError(
                f"Expected {self._path} to be empty or to hold a run, but found {names} and no "
                "config.yaml. Choose another hydra.run.dir"
            )

    def _check_kinds(self) -> None:
        """Refuses a folder in the place of a file, and a file in the place of a folder, before anything is trained."""
        wrong = [path for path in self._folder.files() if path.is_dir()]
        statistics = self._folder.statistics
        if statistics.exists() and not statistics.is_dir():
            wrong.append(statistics)
        for path in wrong:
            found, expected = ("folder", "file") if path.is_dir() else ("file", "folder")
            raise DamagedFileError.of(path, f"it is a {found} instead of a {expected}", "Remove it")

    def _check_same_config(self, config: dict[str, Any]) -> None:
        stored_config.require_same(self._folder.config, config, self._proofs)

    def _proofs(self) -> list[str | None]:
        """Returns the hash of the configuration that each of these files was written for; None if it has none."""
        return [self._proof(path) for path in self._folder.proving_files()]

    def _proof(self, path: Path) -> str | None:
        with contextlib.suppress(DamagedFileError, KeyError, TypeError, AttributeError):
            if path == self._folder.results:
                return (self._folder.read_results() or {}).get(stored_config.HASH)
            from clsnorm.tensor_files import load_tensors  # imports torch, which is rarely needed here

            return load_tensors(path, mmap=True)["callbacks"]["ResumePoint"].get(stored_config.HASH)
        return None

    @property
    def _replaced(self) -> Path:
        return self._path / REPLACED

    def _set_aside(self) -> None:
        """Sets an earlier run aside; it is restored if the new one is refused before it has trained."""
        shutil.rmtree(self._replaced, ignore_errors=True)
        self._replaced.mkdir()
        for path in self._folder.content():
            path.rename(self._replaced / path.name)

    def _undo(self, new: bool) -> None:
        """Removes what a refused run wrote, unless it has already trained."""
        require_held(self._path)
        if self._folder.last.exists() or self._folder.selected.exists():
            return
        if new:
            remove(self._path)
        elif self._replaced.exists():
            for path in self._folder.content():
                delete(path)
            for path in self._replaced.iterdir():
                path.rename(self._path / path.name)
            self._replaced.rmdir()
