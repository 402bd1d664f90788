"""How many processes a run needs: one for each device it may use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from clsnorm.errors import InputError

MIN_PROCESSES = 2  # so that trainer=ddp_cpu works on one core, too
GPUS = ("gpu", "cuda")


def count_processes(settings: Mapping[str, Any], *, prefix: str = "") -> int:
    """Returns the number of processes.

    Args:
        settings: ``accelerator`` and ``devices``, whose rules `clsnorm.config.prepare` has checked.
        prefix: What precedes these names on the command line, such as ``trainer.``; for messages.

    Raises:
        InputError: If this machine has no GPU, or fewer devices than given.
    """
    devices, accelerator = settings["devices"], settings["accelerator"]
    gpus = _count_gpus() if accelerator in (*GPUS, "auto") else 0
    if accelerator in GPUS and gpus == 0:
        raise InputError(
            f"{prefix}accelerator={accelerator} needs a GPU that PyTorch can use, but there is none. "
            f"Use {prefix}accelerator=cpu; to train on several processes without GPUs, trainer=ddp_cpu"
        )
    if devices == "auto":
        return max(1, gpus)
    if gpus and devices > gpus:
        raise InputError(
            f"{prefix}devices={devices} needs as many GPUs, but there are {gpus}. Use {prefix}devices={gpus}"
        )
    cores = max(MIN_PROCESSES, os.cpu_count() or 1)
    if not gpus and accelerator != "mps" and devices > cores:
        raise InputError(
            f"{prefix}devices={devices} needs as many cores, but this machine has {cores}. "
            f"Use {prefix}devices={cores} or less"
        )
    return devices


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()
