"""One worker of a run, started by torchrun: ``-m clsnorm.launch.worker RUN_FOLDER MODULE:FUNCTION``."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path

from clsnorm.errors import InputError
from clsnorm.launch.one_machine import die_with_parent, read_error


def join_and_run(folder: Path, task: str) -> None:
    """Joins the process group, runs ``task`` on the saved configuration, and leaves the group.

    Args:
        folder: Holds the resolved configuration.
        task: ``module:function``; the function takes the configuration and the folder.
    """
    # Imported here: it takes seconds, and a parent killed meanwhile must already take this worker with it.
    import torch
    import torch.distributed as dist

    from clsnorm.run_folder.folder import RunFolder

    config = RunFolder(folder).read_config()
    on_gpu = config.get("trainer", config)["accelerator"] != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        module, _, name = task.partition(":")
        getattr(importlib.import_module(module), name)(config, folder)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    die_with_parent()
    if os.environ.get("RANK") == "0":  # one worker logs, as a run on one device would
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        join_and_run(Path(sys.argv[1]), sys.argv[2])
    except Exception as error:
        if read_error(Path(sys.argv[1])) is None:
            raise
        sys.exit(2 if isinstance(error, InputError) else 1)  # the parent reports error.json
