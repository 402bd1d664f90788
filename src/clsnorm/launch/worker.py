"""One of several processes of a run, started by torchrun: ``-m clsnorm.launch.worker RUN_FOLDER MODULE:FUNCTION``."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path

from clsnorm.errors import InputError
from clsnorm.launch.one_machine import die_with_parent
from clsnorm.run_folder import RunFolder


def work(folder: Path, task: str) -> None:
    """The life of one worker: join the others, run ``task`` on the saved configuration, leave.

    Args:
        folder: Holds the resolved configuration.
        task: ``module:function``; the function takes the configuration and the folder.
    """
    # Imported here: they take seconds, in which a killed parent would leave a worker that nobody told to die.
    import torch
    import torch.distributed as dist

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
    if os.environ.get("RANK") == "0":  # one of them speaks, as a run on one device would
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        work(Path(sys.argv[1]), sys.argv[2])
    except Exception as error:
        if RunFolder(Path(sys.argv[1])).read_error() is None:
            raise
        sys.exit(2 if isinstance(error, InputError) else 1)  # told by the parent, from error.json
