"""How many processes a run needs, one for each device it may use, and in which precision they compute."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clsnorm.errors import InputError, refuse, require_choice

if TYPE_CHECKING:
    import torch

MIN_PROCESSES = 2  # so that trainer=ddp_cpu works on one core, too
GPUS = ("gpu", "cuda")
DEVICES = ("auto", "cpu", "gpu")  # of commands that run on one


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


def device_of(accelerator: str) -> torch.device:
    """Returns the device of a command that runs on one: a GPU if there is one, unless ``cpu`` is given.

    Raises:
        InputError: If it is none of ``auto``, ``cpu`` and ``gpu``, or there is no GPU.
    """
    import torch

    require_choice("accelerator", accelerator, DEVICES)
    if accelerator == "gpu" and not torch.cuda.is_available():
        refuse("accelerator", "cpu or auto on a machine without a GPU", accelerator)
    return torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def require_precision(settings: Mapping[str, Any], *, prefix: str = "") -> None:
    """Raises `InputError` unless the devices compute in ``precision``; Lightning would take another one.

    Args:
        settings: ``accelerator``, whose devices `count_processes` has found, and ``precision``.
        prefix: As in `count_processes`.
    """
    precision, accelerator = settings["precision"], settings["accelerator"]
    if precision == "16-mixed" and not _has_float16(accelerator):
        raise InputError(
            f"{prefix}precision=16-mixed needs a GPU: CPUs have no autocast in float16. "
            f"Use {prefix}precision=bf16-mixed or 32-true"
        )
    if precision == "bf16-mixed" and accelerator in (*GPUS, "auto") and _count_gpus():
        import torch

        if not torch.cuda.is_bf16_supported():
            raise InputError(
                f"{prefix}precision=bf16-mixed needs a GPU with bfloat16, which this one lacks. "
                f"Use {prefix}precision=16-mixed or 32-true"
            )


def _has_float16(accelerator: str) -> bool:
    import torch

    has_mps = accelerator in ("mps", "auto") and torch.backends.mps.is_available()
    return has_mps or (accelerator in (*GPUS, "auto") and _count_gpus() > 0)


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()
