"""Several devices: torchrun starts one worker a device on a run folder whose configuration is already saved.

Lightning's own launcher would run the command line again, which under a Hydra multirun starts the whole sweep in each
worker. Here Hydra composes once, in the parent; a worker reads ``config.yaml`` and composes nothing.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from clsnorm.errors import InputError
from clsnorm.run_folder import RunFolder

PR_SET_PDEATHSIG = 1
SIGNALLED = 128  # added to a signal's number in the status of a process that it ended


class WorkerError(RuntimeError):
    """A worker crashed; the message says of what, and where its traceback is."""


def launch(folder: Path, *, processes: int, task: str) -> None:
    """Runs ``processes`` workers on ``folder`` and waits for them.

    Args:
        folder: Holds the resolved configuration.
        processes: Number of workers.
        task: What they do: ``module:function``, which takes the resolved configuration and the folder.

    Raises:
        InputError: If the workers refused the user's input.
        WorkerError: If a worker crashed.
    """
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes)), **os.environ}
    command = [sys.executable, "-m", "clsnorm.launch.one_machine", str(folder), str(processes), task]
    done = subprocess.run(command, env=environment, preexec_fn=die_with_parent, check=False)
    if done.returncode != 0:
        raise _relayed_error(folder, done.returncode)


def _relayed_error(folder: Path, status: int) -> Exception:
    error = RunFolder(folder).read_error()
    if error is not None and error["kind"] == InputError.__name__:
        return InputError(error["message"])
    if status > SIGNALLED:  # what other workers say of it then is that they were left alone
        name = signal.Signals(status - SIGNALLED).name
        return WorkerError(f"a worker was ended by {name}{', perhaps for want of memory' if name == 'SIGKILL' else ''}")
    if error is None:
        return WorkerError(f"the workers ended with status {status} and left no error.json in {folder}")
    message = " ".join(error["message"].split())[:400]
    return WorkerError(f"a worker crashed: {error['kind']}: {message} (its traceback: {folder / 'error.json'})")


def die_with_parent() -> None:
    """Asks Linux to kill this process when its parent ends; torchrun's workers would outlive a ``kill -9``."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def supervise(folder: Path, *, processes: int, task: str) -> int:
    """Starts and watches the workers with torchrun and returns its exit status, which tells of a signal if one fell.

    torchrun's own report of a failed worker is silenced: the worker has left ``error.json``, which the parent tells.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL + 1)
    try:
        torchrun.main(
            ["--standalone", f"--nproc-per-node={processes}", "-m", "clsnorm.launch.worker", str(folder), task]
        )
    except ChildFailedError as error:
        return status_of(failure.exitcode for failure in error.failures.values())
    return 0


def status_of(codes: Iterable[int]) -> int:
    """Returns the status that tells of failed workers' exit codes: of a signal that one fell to, else 1.

    torchrun itself ends by SIGTERM the workers that another one has left.
    """
    all_codes = set(codes)
    own = all_codes - {-signal.SIGTERM} or all_codes
    return next((SIGNALLED - code for code in own if code < 0), 1)


if __name__ == "__main__":
    die_with_parent()
    sys.exit(supervise(Path(sys.argv[1]), processes=int(sys.argv[2]), task=sys.argv[3]))
