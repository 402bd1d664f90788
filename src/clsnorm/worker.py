"""One of several processes of a run, started by torchrun: ``-m clsnorm.worker RUN_FOLDER``."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from clsnorm.errors import InputError
from clsnorm.launch import die_with_parent


def work(folder: Path) -> None:
    """The life of one worker: join the others, run the saved configuration, leave."""
    # Imported here: they take seconds, in which a killed parent would leave a worker that nobody told to die.
    import torch
    import torch.distributed as dist
    from omegaconf import OmegaConf

    from clsnorm.experiment import execute
    from clsnorm.records import RunFolder

    config: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))  # type: ignore[assignment]
    on_gpu = config["trainer"]["accelerator"] != "cpu" and torch.cuda.is_available()
    if on_gpu:
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


if __name__ == "__main__":
    die_with_parent()
    if os.environ.get("RANK") == "0":  # one of them speaks, as a run on one device would
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        work(Path(sys.argv[1]))
    except InputError:
        sys.exit(2)  # told by the parent, from error.json
