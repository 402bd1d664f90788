"""One of several processes of a run, started by torchrun: ``-m clsnorm.worker RUN_FOLDER``."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clsnorm.errors import InputError
from clsnorm.launch import die_with_parent, read_error


def train(config: dict[str, Any], folder: Path) -> None:
    """Trains; the first process marks the folder as in use."""
    from clsnorm.distributed import rank
    from clsnorm.experiment import execute
    from clsnorm.records import RunFolder

    records = RunFolder(folder)
    with records.hold_as_worker() if rank() == 0 else contextlib.nullcontext():
        execute(config, records)


def analyze(config: dict[str, Any], folder: Path) -> None:
    """Analyzes [CLS]."""
    from clsnorm.analysis.run import execute

    execute(config, folder)


TASKS: dict[str, Callable[[dict[str, Any], Path], None]] = {"train": train, "analyze": analyze}


def work(folder: Path, task: str) -> None:
    """The life of one worker: join the others, do ``task`` with the saved configuration, leave."""
    # Imported here: they take seconds, in which a killed parent would leave a worker that nobody told to die.
    import torch
    import torch.distributed as dist

    from clsnorm.records import RunFolder

    config = RunFolder(folder).read_config()
    on_gpu = config.get("trainer", config)["accelerator"] != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        TASKS[task](config, folder)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    die_with_parent()
    if os.environ.get("RANK") == "0":  # one of them speaks, as a run on one device would
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        work(Path(sys.argv[1]), sys.argv[2])
    except Exception as error:
        if read_error(Path(sys.argv[1])) is None:
            raise
        sys.exit(2 if isinstance(error, InputError) else 1)  # told by the parent, from error.json
