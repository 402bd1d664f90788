"""What a command does around its task: the exit status, and one line for what a user can mend."""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

from clsnorm import naming, options, sweeping
from clsnorm.errors import InputError

OK, CRASHED, REFUSED = 0, 1, 2


def run_command(task: Callable[[], Any]) -> int:
    """Runs a Hydra ``main`` and returns its exit status: 0 all well, 1 a run crashed, 2 input refused.

    A refusal is one line on standard error. A crash keeps its traceback: it is a fault to report.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra would otherwise end the process by itself, with status 1
    naming.register()
    options.register()
    try:
        with contextlib.redirect_stderr(_WithoutHydraNotice(sys.stderr)):
            task()
            sys.stdout.flush()
    except (InputError, HydraException, OmegaConfBaseException) as error:
        return _refuse(error) if not sweeping.failures else _conclude_sweep()
    except BrokenPipeError:  # of `--help | head`; what Python has left to say at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception:
        if not sweeping.failures:
            raise
        return _conclude_sweep()
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return OK


def _conclude_sweep() -> int:
    """Counts a sweep's failed jobs, each of which has been told, and returns the status: a crash outweighs refusals."""
    failures = sweeping.failures
    print(f"error: {len(failures)} of the sweep's runs failed; the same command goes on with these", file=sys.stderr)
    return REFUSED if all(isinstance(error, InputError) for error in failures) else CRASHED


class _WithoutHydraNotice:
    """Standard error without Hydra's own line about a failed job, which would stand above ours."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if text.startswith("Error executing job with overrides") else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _refuse(error: BaseException) -> int:
    cause = error
    while cause.__cause__ is not None and not isinstance(cause, InputError):
        cause = cause.__cause__
    told = cause if isinstance(cause, InputError) else error
    text = options.explain(told) or str(told).partition("Config search path:")[0]  # Hydra's list of its folders
    print("error: " + " ".join(text.split()), file=sys.stderr)
    return REFUSED
