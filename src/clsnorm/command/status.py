"""The exit status of a command, and one line for a mistake that the user can fix."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clsnorm.command import standard_streams, sweep
from clsnorm.command.composition import checked_composition, register_resolvers
from clsnorm.command.fast_help import without_group_lists
from clsnorm.config import choices
from clsnorm.errors import DiskError, InputError
from clsnorm.launch.one_machine import WorkerError, die_with_parent
from clsnorm.redaction import redacted_message

OK, CRASHED, REFUSED = 0, 1, 2


def run_command(task: Callable[[], Any], *, after_sweep: Callable[[Path, list[Path]], None] | None = None) -> int:
    """Runs a Hydra ``main`` and returns its exit status: 0 success, 1 a run crashed, 2 input refused.

    A refusal is one line on standard error. A crash keeps its traceback, as it is a bug to report; a worker's is in a
    file.

    Args:
        task: Decorated by ``hydra.main``.
        after_sweep: Called at the end of a sweep that was not interrupted, with its folder and those of its runs.
    """
    if (launcher := os.environ.pop(sweep.LAUNCHER, None)) is not None:
        die_with_parent(int(launcher))
    standard_streams.open_missing()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra ends the process itself, with status 1
    register_resolvers()
    try:
        standard_streams.require_utf8(sys.argv[1:])
        _refuse_reruns(sys.argv[1:])
        with (
            contextlib.redirect_stderr(_WithoutHydraNotice(sys.stderr)),
            without_group_lists(sys.argv[1:]),
            checked_composition(),
        ):
            task()
            with standard_streams.printing():
                pass
    except BrokenPipeError:  # of `--help | head`; Python flushes standard output at exit, now into nothing
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sweep.conclude()
        print("interrupted: the same command resumes from the last checkpoint", file=sys.stderr)
        return 130
    except Exception as error:
        return _fail(task, error, after_sweep)
    return _conclude(after_sweep) or OK


def _conclude(after_sweep: Callable[[Path, list[Path]], None] | None) -> int | None:
    """Ends a sweep, if this command was one, and returns its status; None if no job failed."""
    if (begun := sweep.begun()) is not None and after_sweep is not None:
        with standard_streams.printing():
            after_sweep(*begun)
    return _status_of_sweep(sweep.conclude())


def _fail(task: Callable[[], Any], error: Exception, after_sweep: Callable[[Path, list[Path]], None] | None) -> int:
    """Reports what ended the command and returns its status; raises ``error`` again if it is a crash of this process.

    After a sweep in which jobs failed, ``error`` is the first failure, and its job has logged it.
    """
    if isinstance(error, sweep.REFUSALS) and not sweep.records():
        sweep.conclude()  # before any job of it began
        return _refuse(error)
    if status := _conclude(after_sweep):
        return status
    if isinstance(error, sweep.REFUSALS):
        return _refuse(error)
    if isinstance(error, WorkerError | DiskError):
        print(f"error: {redacted_message(str(error), sys.argv[1:])}", file=sys.stderr)
        return CRASHED
    if isinstance(error, OSError | ValueError) and not _has_begun(task, error):
        return _refuse(_of_hydra(error))
    raise error


def _status_of_sweep(counts: Mapping[str, int]) -> int | None:
    """Prints how many jobs of a sweep failed and returns the status, 1 if any crashed, else 2; None if none failed."""
    if failed := counts.get(sweep.REFUSED, 0) + counts.get(sweep.CRASHED, 0):
        print(f"error: {failed} of the sweep's runs failed; the same command runs these again", file=sys.stderr)
        return CRASHED if counts.get(sweep.CRASHED) else REFUSED
    return None


def _refuse_reruns(words: Sequence[str]) -> None:
    """Refuses Hydra's ``--experimental-rerun FILE``, also abbreviated: it would unpickle the file."""
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("--e") and "--experimental-rerun".startswith(option):
            raise InputError(f"Expected {option} to be left out: a pickle can run code. The same command resumes a run")


def _has_begun(task: Callable[[], Any], error: BaseException) -> bool:
    """Had Hydra called ``task`` when the error was raised?"""
    code = getattr(task, "__wrapped__", task).__code__
    return any(frame.f_code is code for frame, _ in traceback.walk_tb(error.__traceback__))


def _of_hydra(error: OSError | ValueError) -> InputError:
    """Translates an error of Hydra, raised before the task began, into the user's terms."""
    if isinstance(error, OSError):
        return InputError(
            f"Cannot create a folder for the run: {error.strerror}: {error.filename}. Choose another, such as "
            "paths.output=runs, or in a sweep paths.multirun=multirun"
        )
    return InputError(str(error))


class _WithoutHydraNotice:
    """Standard error without Hydra's own line about a failed job: ours says more."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if text.startswith("Error executing job with overrides") else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _refuse(error: BaseException) -> int:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__  # OmegaConf sets a resolver's error as context
    reported = cause or error
    text = choices.explain(reported) or str(reported).partition("Config search path:")[0]  # Hydra lists its folders
    print("error: " + redacted_message(" ".join(text.split()), sys.argv[1:]), file=sys.stderr)
    return REFUSED
