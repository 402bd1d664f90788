"""One worker of a run, started by torchrun: ``-m clsnorm.launch.worker PARENT RUN_FOLDER ACCELERATOR TASK``."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path

from clsnorm.errors import InputError
from clsnorm.launch import interruption
from clsnorm.launch.one_machine import die_with_parent
from clsnorm.run_folder.error import is_reported


def join_and_run(folder: Path, accelerator: str, task: str) -> None:
    """Joins the process group, runs ``task`` on the folder, and leaves the group.

    Args:
        folder: Holds the resolved configuration.
        accelerator: As `launch` was given it.
        task: ``module:function``; the function takes the folder.
    """
    # Imported here: it takes seconds, and a parent killed meanwhile must already take this worker with it.
    import torch
    import torch.distributed as dist

    on_gpu = accelerator != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        module, _, name = task.partition(":")
        getattr(importlib.import_module(module), name)(folder)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    if os.environ.get("RANK") == "0":  # one worker logs, as a run on one device would
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(sys.argv[2])
    if interruption.is_expected():
        interruption.expect()  # a cluster may signal all processes
    try:
        join_and_run(folder, *sys.argv[3:])
    except KeyboardInterrupt:
        if interruption.announced() is None:
            raise
        sys.exit(1)  # the parent knows
    except Exception as error:
        if not is_reported(folder / "error.json"):
            raise
        sys.exit(2 if isinstance(error, InputError) else 1)  # the parent reports error.json
