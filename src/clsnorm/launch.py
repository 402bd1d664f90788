"""Several devices: torchrun starts one worker a device on a run folder whose configuration is already saved.

Lightning's own launcher would run the command line again, which under a Hydra multirun starts the whole sweep in each
worker. Here Hydra composes once, in the parent; a worker reads ``config.yaml`` and knows no Hydra. The same command
starts the workers of several machines by hand::

    torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m clsnorm.launch RUN_FOLDER
"""

from __future__ import annotations

import argparse
import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from clsnorm.errors import InputError

PR_SET_PDEATHSIG = 1


class WorkerError(RuntimeError):
    """A worker crashed; the message holds its traceback."""


def launch(folder: Path, *, processes: int) -> None:
    """Runs ``processes`` workers on ``folder`` and waits for them.

    Raises:
        InputError: If the workers refused the user's input.
        WorkerError: If a worker crashed.
    """
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes)), **os.environ}
    command = [sys.executable, "-m", "clsnorm.launch", "--processes", str(processes), str(folder)]
    done = subprocess.run(command, env=environment, preexec_fn=_die_with_parent, check=False)
    if done.returncode != 0:
        raise _relayed_error(folder, done.returncode)


def read_error(folder: Path) -> dict[str, Any] | None:
    """Returns what ``error.json`` holds, or None."""
    path = folder / "error.json"
    return json.loads(path.read_text()) if path.exists() else None


def _relayed_error(folder: Path, status: int) -> Exception:
    error = read_error(folder)
    if error is None:
        return WorkerError(f"the workers ended with status {status} and left no error.json in {folder}")
    if error["kind"] == InputError.__name__:
        return InputError(error["message"])
    return WorkerError(f"a worker crashed:\n{error['traceback']}")


def _die_with_parent() -> None:
    """Asks Linux to kill this process when its parent ends; torchrun's workers would outlive a ``kill -9``."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def work(folder: Path) -> None:
    """The life of one worker: join the others, run the saved configuration, leave."""
    import torch.distributed as dist
    from omegaconf import OmegaConf

    from clsnorm.experiment import execute
    from clsnorm.records import RunFolder

    config: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))  # type: ignore[assignment]
    on_gpu = config["trainer"]["accelerator"] == "gpu"
    if on_gpu:
        import torch

        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        if dist.get_rank() == 0:
            with RunFolder(folder).hold_as_worker():
                execute(config, RunFolder(folder))
        else:
            execute(config, RunFolder(folder))
    finally:
        dist.destroy_process_group()


def supervise(folder: Path, *, processes: int) -> int:
    """Starts and watches the workers with torchrun and returns its exit status.

    torchrun's own report of a failed worker is silenced: the worker has left ``error.json``, which the parent tells.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL + 1)
    try:
        torchrun.main(["--standalone", f"--nproc-per-node={processes}", "-m", "clsnorm.launch", str(folder)])
    except ChildFailedError:
        return 1
    return 0


def main() -> int:
    """``--processes N FOLDER`` starts the workers; ``FOLDER`` alone, in the environment of torchrun, is one of them."""
    _die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m clsnorm.launch", description=__doc__)
    parser.add_argument("--processes", type=int, help="start this many workers; left out: be one of torchrun's")
    parser.add_argument("folder", type=Path, help="a run folder with its config.yaml")
    given = parser.parse_args()
    if given.processes is not None:
        return supervise(given.folder, processes=given.processes)
    try:
        work(given.folder)
    except InputError:
        return 2  # told by the parent, from error.json
    return 0


if __name__ == "__main__":
    sys.exit(main())
