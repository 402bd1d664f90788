"""What became of the jobs of a sweep: each failure is told beside its job's name, and none hides another."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from clsnorm.errors import InputError

log = logging.getLogger(__name__)
failures: list[Exception] = []  # of this process's sweep; Hydra itself hands on the first one alone


@contextlib.contextmanager
def failure_told(job: str) -> Iterator[None]:
    """In a sweep, logs the failure of ``job`` in one line and notes it; Hydra goes on with the next job.

    A single run's failure is told once, by the command.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    try:
        yield
    except Exception as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            failures.append(error)
            kind = "refused" if isinstance(error, InputError) else f"crashed: {type(error).__name__}"
            log.error("%s: %s: %s", job, kind, " ".join(str(error).split())[:400])
        raise
