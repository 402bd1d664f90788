"""``error.json``: the exception that ended a run."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path
from typing import Any

from clsnorm.errors import InputError
from clsnorm.files import write_json
from clsnorm.redaction import redacted_message

log = logging.getLogger(__name__)


def write_error(path: Path, error: BaseException, *, parent_reports: bool) -> None:
    """Writes ``error.json``, once: the first error explains those that follow on other processes.

    Args:
        path: The file.
        error: The exception; interruptions are not errors.
        parent_reports: Whether a parent process reports the error. If so, refused input is written, too.
    """
    if path.exists() or isinstance(error, KeyboardInterrupt | SystemExit):
        return
    if isinstance(error, InputError) and not parent_reports:
        return
    text = "".join(traceback.format_exception(error))
    message = redacted_message(str(error))
    write_json(path, {"kind": type(error).__name__, "message": message, "traceback": redacted_message(text)})
    if not parent_reports:
        log.error("crashed: %s: %s (%s)", type(error).__name__, message, path)


def read_error(path: Path) -> dict[str, Any] | None:
    """Returns ``kind``, ``message`` and ``traceback`` of the exception, or None if there was none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
