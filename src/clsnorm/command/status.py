"""What a command does around its task: the exit status, and one line for what a user can mend."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from clsnorm.command import sweep as sweeping
from clsnorm.config import choices as options
from clsnorm.config import names as naming
from clsnorm.errors import InputError
from clsnorm.launch.one_machine import WorkerError

OK, CRASHED, REFUSED = 0, 1, 2
SETTLED = {  # options of Hydra that a run's folder and paths rely on, and why
    "hydra.job.chdir": ("false", "paths are relative to where the command is typed"),
    "hydra.output_subdir": ("null", "a run keeps its whole configuration in config.yaml"),
}


def run_command(task: Callable[[], Any]) -> int:
    """Runs a Hydra ``main`` and returns its exit status: 0 all well, 1 a run crashed, 2 input refused.

    A refusal is one line on standard error. A crash keeps its traceback, a worker's in a file: it is a fault to
    report.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra would otherwise end the process by itself, with status 1
    naming.register()
    options.register()
    try:
        _require_settled(sys.argv[1:])
        with contextlib.redirect_stderr(_WithoutHydraNotice(sys.stderr)):
            task()
            sys.stdout.flush()
    except BrokenPipeError:  # of `--help | head`; what Python has left to say at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    except Exception as error:
        sweeping.discard_empty()
        if error in sweeping.failures:
            return _conclude_sweep()
        if isinstance(error, sweeping.REFUSALS):
            return _refuse(error)
        if isinstance(error, WorkerError):
            print(f"error: {error}", file=sys.stderr)
            return CRASHED
        if isinstance(error, OSError | ValueError) and not _has_begun(task, error):
            return _refuse(_of_hydra(error))
        raise
    return OK


def _require_settled(words: Sequence[str]) -> None:
    for word in words:
        key, _, value = word.lstrip("+").partition("=")
        wanted, reason = SETTLED.get(key, (value.lower(), ""))
        if value.lower() != wanted:
            raise InputError(f"Expected {key} to stay {wanted}, since {reason}, but got {value}. Leave it out")


def _has_begun(task: Callable[[], Any], error: BaseException) -> bool:
    """Whether Hydra had handed over to ``task`` when the error arose."""
    code = getattr(task, "__wrapped__", task).__code__
    return any(frame.f_code is code for frame, _ in traceback.walk_tb(error.__traceback__))


def _of_hydra(error: OSError | ValueError) -> InputError:
    """Says in the user's words what Hydra could not do before the task began."""
    if isinstance(error, OSError):
        return InputError(
            f"Cannot make a folder for the run: {error.strerror}: {error.filename}. Choose another, such as "
            "paths.output=runs, or in a sweep paths.multirun=multirun"
        )
    if groups := [word for word in sys.argv[1:] if word.endswith("=null") and "." not in word]:
        return InputError(
            f"Expected {' '.join(groups)} to name an option instead of null. Leave it out for the usual one; "
            "--help lists the others, `none` among them where there may be none"
        )
    return InputError(str(error))


def _conclude_sweep() -> int:
    """Counts a sweep's failed jobs, each of which has been told, and returns the status: a crash outweighs refusals."""
    failures = sweeping.failures
    print(f"error: {len(failures)} of the sweep's runs failed; the same command goes on with these", file=sys.stderr)
    return REFUSED if all(isinstance(error, sweeping.REFUSALS) for error in failures) else CRASHED


class _WithoutHydraNotice:
    """Standard error without Hydra's own line about a failed job, which would stand above ours."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if text.startswith("Error executing job with overrides") else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _refuse(error: BaseException) -> int:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__  # OmegaConf keeps what a resolver says as a context
    told = cause or error
    text = options.explain(told) or str(told).partition("Config search path:")[0]  # Hydra's list of its folders
    print("error: " + " ".join(text.split()), file=sys.stderr)
    return REFUSED
