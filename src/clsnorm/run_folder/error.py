"""``error.json``: the exception that ended a run."""

from __future__ import annotations

import contextlib
import logging
import os
import traceback
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError, DiskError, InputError
from clsnorm.files import write_sealed
from clsnorm.redaction import redacted_message
from clsnorm.seals import read_json

log = logging.getLogger(__name__)
FALLBACK = "CLSNORM_ERROR_FILE"  # environment variable: where workers report if the run's folder cannot be written
KEYS = ("kind", "message", "traceback")


def write_error(path: Path, error: BaseException, *, parent_reports: bool) -> None:
    """Writes ``error.json``, once: the first error explains those that follow on other processes.

    Args:
        path: The file.
        error: The exception; interruptions are not errors.
        parent_reports: Whether a parent process reports the error. If so, refused input and full disks are written,
            too; to the file `FALLBACK` if the folder cannot be written.
    """
    if path.exists() or isinstance(error, KeyboardInterrupt | SystemExit):
        return
    if isinstance(error, InputError | DiskError) and not parent_reports:
        return
    text = "".join(traceback.format_exception(error))
    message = redacted_message(str(error))
    record = {"kind": _kind(error), "message": message, "traceback": redacted_message(text)}
    try:
        write_sealed(path, record)
    except DiskError:
        if FALLBACK in os.environ:
            with contextlib.suppress(DiskError):
                write_sealed(Path(os.environ[FALLBACK]), record)
        elif not isinstance(error, DiskError):
            raise
    if not parent_reports:
        log.error("crashed: %s: %s (%s)", type(error).__name__, message, path)


def _kind(error: BaseException) -> str:
    """Returns the name by which `clsnorm.launch.one_machine` knows errors that it reports in one line."""
    base = next((known for known in (InputError, DiskError) if isinstance(error, known)), type(error))
    return base.__name__


def is_reported(path: Path) -> bool:
    """Has a process of this run written ``error.json``, or the file `FALLBACK`?"""
    return path.exists() or Path(os.environ.get(FALLBACK, path)).exists()


def read_error(path: Path) -> dict[str, Any] | None:
    """Returns ``kind``, ``message`` and ``traceback`` of the exception, or None if there was none.

    Raises:
        DamagedFileError: If the file is not what was written.
    """
    if not path.exists():
        return None
    record = read_json(path, "Delete it: nothing else is lost")
    if not all(isinstance(record.get(key), str) for key in KEYS):
        raise DamagedFileError.of(path, f"it lacks one of {', '.join(KEYS)}", "Delete it: nothing else is lost")
    return record
