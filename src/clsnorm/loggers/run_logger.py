"""`RunLogger`: the base of loggers that know the run's folder and configuration, and end with its results."""

from __future__ import annotations

import abc
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clsnorm.errors import InputError

log = logging.getLogger(__name__)
Logged = dict[int, dict[str, float]]  # numbers by step
SUMMARY = ("status", "failed", "collapsed", "majority", "selected_step", "examples_per_second")  # with metrics


class RunLogger(abc.ABC):
    """A Lightning logger that is built for one run.

    To add one: subclass this and a Lightning ``Logger``, export the class in ``clsnorm.loggers`` and add
    ``conf/logger/<name>.yaml``. Its constructor takes ``folder`` and ``config`` by keyword, and what its YAML gives. A
    Lightning logger that needs neither works as it is: it is closed by ``finalize``.

    Args:
        folder: The run's folder.
        config: The resolved configuration.
    """

    @abc.abstractmethod
    def __init__(self, *, folder: Path, config: dict[str, Any]) -> None: ...

    def restart(self, logged: Logged) -> None:
        """Sets the store to ``logged``, without other steps; called when a run starts or resumes, on rank 0.

        A run may have been killed after it had logged later steps, which it will log again, and before all earlier
        ones were written.
        """
        if logged:
            log.warning("%s: steps near the interruption may be in it twice, or missing", type(self).__name__)

    @abc.abstractmethod
    def close(self, results: Mapping[str, Any] | None) -> None:
        """Ends the run: ``results`` is what ``results.json`` will hold, None after a crash. Called on all ranks."""


def require_package(package: str) -> None:
    """Raises InputError unless the package of a logger is installed."""
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"logger={package} needs the package {package}, which is not installed: pip install 'clsnorm[{package}]'"
        )
