"""Several devices of one machine: torchrun starts a worker for each, on a run folder that holds ``config.yaml``.

Lightning's own launcher would run the command line again, and under a Hydra multirun each worker would start the whole
sweep. Here Hydra composes once, in the parent, and the workers only read ``config.yaml``.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from clsnorm.errors import DiskError, InputError
from clsnorm.launch import interruption
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.error import FALLBACK, read_error

PR_SET_PDEATHSIG = 1
SIGNALLED = 128  # a process killed by signal number n exits with status SIGNALLED + n


class WorkerError(RuntimeError):
    """A worker crashed; the message gives the reason and the file with its traceback."""


def launch(folder: Path, *, processes: int, accelerator: str, task: str) -> None:
    """Runs ``processes`` workers on ``folder`` and waits for them.

    Args:
        folder: Holds the resolved configuration.
        processes: Number of workers.
        accelerator: As in ``trainer.accelerator``; unless it is ``cpu``, each worker takes a GPU where there is one.
        task: ``module:function`` that each worker calls with the folder.

    Raises:
        InputError: If the workers refused the user's input.
        WorkerError: If a worker crashed.
        KeyboardInterrupt: If they ended because an interruption was announced.
    """
    words = [str(folder), str(processes), accelerator, task, "--standalone"]
    with started_workers(words, processes=processes) as (workers, fallback):
        if workers.wait() != 0:
            raise worker_error(folder, workers.returncode, fallback)


@contextlib.contextmanager
def started_workers(words: Sequence[str], *, processes: int) -> Iterator[tuple[subprocess.Popen[bytes], Path | None]]:
    """Starts torchrun on this machine; yields it, and where its workers report what the run's folder cannot take.

    Workers that still run at the end of the ``with`` block are killed.

    Args:
        words: Of this module's command: folder, processes, accelerator, task, and how torchrun finds other machines.
        processes: Number of workers.
    """
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes)), **os.environ}
    command = [sys.executable, "-m", "clsnorm.launch.one_machine", str(os.getpid()), *words]
    with _fallback() as fallback:
        environment |= {FALLBACK: str(fallback)} if fallback else {}
        workers = subprocess.Popen(command, env=environment)
        try:
            yield workers, fallback
        finally:
            if workers.poll() is None:
                workers.kill()  # its workers die with it
                workers.wait()


@contextlib.contextmanager
def _fallback() -> Iterator[Path | None]:
    """Yields a file outside the run folder where workers report that they cannot write there, or None.

    It does not exist until a worker writes it: a killed parent could not remove it.
    """
    try:
        path = Path(tempfile.gettempdir()) / f"clsnorm-{uuid.uuid4().hex}.json"
    except OSError:
        yield None
        return
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def worker_error(folder: Path, status: int, fallback: Path | None) -> BaseException:
    """Returns the error for workers that ended with ``status``: what they reported, in one line.

    After an announced interruption, for which they have stored a resume point, it is `KeyboardInterrupt`.
    """
    if interruption.announced() is not None:
        return KeyboardInterrupt()
    error = (read_error(fallback) if fallback else None) or RunFolder(folder).read_error()
    if error is not None and error["kind"] == InputError.__name__:
        return InputError(error["message"])
    if error is not None and error["kind"] == DiskError.__name__:
        return WorkerError(error["message"])
    if status > SIGNALLED:  # the other workers' errors then only say that they lost this one
        name = signal.Signals(status - SIGNALLED).name
        return WorkerError(
            f"a worker was killed by {name}{', perhaps for lack of memory' if name == 'SIGKILL' else ''}"
        )
    if error is None:
        return WorkerError(f"the workers exited with status {status} and wrote no error.json into {folder}")
    message = " ".join(error["message"].split())[:400]
    return WorkerError(f"a worker crashed: {error['kind']}: {message} (its traceback: {folder / 'error.json'})")


def die_with_parent(parent: int | None = None) -> None:
    """Asks Linux to kill this process when its parent dies; torchrun's workers would survive a ``kill -9`` of it.

    Args:
        parent: Its process number, for a process that has just been started: if the parent has died already, this one
            dies now. (``preexec_fn`` would leave no such moment, but it is not safe in a process with threads.)
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def run_torchrun(folder: Path, *, processes: int, accelerator: str, task: str, place: Sequence[str]) -> int:
    """Runs the workers under torchrun and returns `exit_status`.

    torchrun's own report of a failed worker is silenced: the parent reports ``error.json``, which the worker wrote.
    ``place`` are its options about other machines: ``--standalone`` if there are none.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL + 1)
    worker = ["-m", "clsnorm.launch.worker", str(os.getpid()), str(folder), accelerator, task]
    try:
        torchrun.main([*place, f"--nproc-per-node={processes}", *worker])
    except ChildFailedError as error:
        return exit_status(failure.exitcode for failure in error.failures.values())
    return 0


def exit_status(codes: Iterable[int]) -> int:
    """Returns 128 + signal if a failed worker was killed, else 1, from the exit codes of the failed workers.

    When one worker fails, torchrun ends the others by SIGTERM; these count only if all were ended so.
    """
    all_codes = set(codes)
    own = all_codes - {-signal.SIGTERM} or all_codes
    return next((SIGNALLED - code for code in own if code < 0), 1)


if __name__ == "__main__":
    parent, folder, processes, accelerator, task, *place = sys.argv[1:]
    die_with_parent(int(parent))
    sys.exit(run_torchrun(Path(folder), processes=int(processes), accelerator=accelerator, task=task, place=place))
