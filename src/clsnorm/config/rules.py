"""Rules of the configuration that no single part can check, told before anything is built."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from clsnorm.config.roles import check_groups, locate
from clsnorm.errors import InputError, did_you_mean

# Weights stay in float32: in a half type, small updates would be lost and the targets of a regression rounded.
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")
STRATEGIES = ("auto", "single_device", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")
ACCELERATORS = {
    "auto": "auto",
    "cpu": "cpu",
    "gpu": "gpu",
    "cuda": "gpu",
    "mps": "mps",
}  # what each is
MIN_PROCESSES = 2  # trainer=ddp_cpu works on one core, too


def check(config: dict[str, Any]) -> int:
    """Checks a resolved configuration and returns the number of processes it asks for.

    Raises:
        InputError: If a value breaks its rule.
    """
    for key, rule, holds in RULES:
        value = _select(config, key)
        if not holds(value):
            raise InputError(f"Expected argument `{key}` to be {rule}, but got {value!r}")
    _check_length(config["trainer"])
    return count_processes(config["trainer"])


def check_parts(config: dict[str, Any]) -> None:
    """Checks what each group describes, and that strategy and precision go together.

    Raises:
        InputError: If a part is refused.
    """
    check_groups(config)
    trainer = config["trainer"]
    possible = _strategy_precisions(trainer.get("strategy", "auto"))
    if trainer["precision"] not in possible:
        raise InputError(
            f"Expected argument `trainer.precision` to be one of {', '.join(possible)} with trainer="
            f"{config['choices']['trainer']}, but got {trainer['precision']!r}"
        )


def _strategy_precisions(strategy: Any) -> tuple[str, ...]:
    """Returns what a strategy can train in.

    Admitted are those under which a process has whole parameters, and those made for this package, which say in
    ``precisions`` what they can train in: elsewhere norms of gradients would be those of a share, and a checkpoint none
    of this package's.

    Raises:
        InputError: If it is another one.
    """
    from pytorch_lightning.strategies import DDPStrategy, DeepSpeedStrategy, SingleDeviceStrategy

    if isinstance(strategy, dict):
        name, kind = strategy["_target_"], locate(strategy["_target_"], "trainer.strategy")
    else:
        name, kind = strategy, DDPStrategy if strategy in STRATEGIES else object
    whole = issubclass(kind, (DDPStrategy, SingleDeviceStrategy)) and not issubclass(kind, DeepSpeedStrategy)
    possible: tuple[str, ...] | None = getattr(kind, "precisions", PRECISIONS if whole else None)
    if possible is None:
        raise InputError(
            f"Expected argument `trainer.strategy` to be one of {', '.join(STRATEGIES)} or a class of Lightning's "
            f"DDPStrategy, but got {name!r}.{did_you_mean(str(name), STRATEGIES)} Sharded parameters: trainer=fsdp"
        )
    return possible


def _check_length(trainer: dict[str, Any]) -> None:
    if trainer["max_epochs"] == -1 and trainer["max_steps"] == -1:
        raise InputError("Expected trainer.max_epochs or trainer.max_steps to bound the run, but both are -1")


def _select(config: dict[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _is_int(value: Any, low: int, *, or_minus_one: bool = False) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and (value >= low or (or_minus_one and value == -1))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


RULES: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    *(
        (key, "a whole number from 0 to 4294967295", lambda value: _is_int(value, 0) and value < 2**32)
        for key in ("seed", "seeds.init", "seeds.order", "seeds.dropout", "seeds.subset", "seeds.noise")
    ),
    ("force", "true or false", lambda value: isinstance(value, bool)),
    ("abort_on", "a list of kinds of events", lambda value: isinstance(value, list)),
    ("checkpoint_every", "a positive whole number of steps", lambda value: _is_int(value, 1)),
    ("trainer.max_epochs", "a positive whole number, or -1", lambda value: _is_int(value, 1, or_minus_one=True)),
    ("trainer.max_steps", "a positive whole number, or -1", lambda value: _is_int(value, 1, or_minus_one=True)),
    ("trainer.accumulate_grad_batches", "a positive whole number", lambda value: _is_int(value, 1)),
    (
        "trainer.val_check_interval",
        "a share of an epoch in (0, 1] or a positive whole number of batches",
        lambda value: _is_int(value, 1) or (isinstance(value, float) and 0 < value <= 1),
    ),
    ("trainer.precision", f"one of {', '.join(PRECISIONS)}", lambda value: value in PRECISIONS),
    ("trainer.num_nodes", "1, since runs over several machines are not wired", lambda value: value in (None, 1)),
    ("trainer.log_every_n_steps", "a positive whole number", lambda value: _is_int(value, 1)),
    (
        "trainer.gradient_clip_val",
        "null or a positive number",
        lambda value: value is None or (_is_number(value) and value > 0),
    ),
)


def count_processes(trainer: dict[str, Any], *, prefix: str = "trainer.") -> int:
    """Returns how many processes the trainer's devices ask for.

    Args:
        trainer: Holds ``accelerator`` and ``devices``.
        prefix: What stands before these names on the command line, for the message.

    Raises:
        InputError: If there is no such accelerator, or if there are not that many devices.
    """
    import torch

    gpus, cores = torch.cuda.device_count(), max(MIN_PROCESSES, os.cpu_count() or 1)
    devices, accelerator = trainer["devices"], ACCELERATORS.get(str(trainer["accelerator"]))
    if accelerator is None:
        raise InputError(
            f"Expected argument `{prefix}accelerator` to be one of {', '.join(ACCELERATORS)}, but got "
            f"{trainer['accelerator']!r}"
        )
    if accelerator == "auto":
        accelerator = "gpu" if gpus else "cpu"
    if accelerator == "gpu" and gpus == 0:
        raise InputError(
            f"{prefix}accelerator={trainer['accelerator']} needs a GPU that PyTorch can use, but there is none. "
            f"Use {prefix}accelerator=cpu; to train on several processes without GPUs, trainer=ddp_cpu"
        )
    if devices == "auto":
        return gpus if accelerator == "gpu" else 1
    if not _is_int(devices, 1):
        raise InputError(
            f"Expected argument `{prefix}devices` to be a positive whole number or auto, but got {devices!r}"
        )
    if accelerator == "gpu" and devices > gpus:
        raise InputError(
            f"{prefix}devices={devices} needs as many GPUs, but there are {gpus}. Use {prefix}devices={gpus}"
        )
    if accelerator == "cpu" and devices > cores:
        raise InputError(
            f"{prefix}devices={devices} asks for more processes than the {cores} this machine has cores for. "
            f"Use {prefix}devices={cores} or less"
        )
    return devices
