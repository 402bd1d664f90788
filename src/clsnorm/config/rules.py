"""Rules that no single part can check: of top-level values, and of parts that must fit together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from clsnorm.config.roles import check_groups, locate
from clsnorm.errors import (
    InputError,
    did_you_mean,
    is_whole,
    refuse,
    require_choice,
    require_positive,
    require_switch,
    require_whole,
)
from clsnorm.redaction import looks_secret, redacted

# Weights stay in float32: in a half type, small updates would be lost and the targets of a regression rounded.
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")
STRATEGIES = ("auto", "single_device", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
Rule = Callable[[str, Any], None]  # raises InputError, given an argument's name and its value


def check_values(config: dict[str, Any], primary: str = "train") -> None:
    """Checks the values of a resolved configuration, one by one; imports no torch.

    Args:
        config: Plain values.
        primary: Whose rules apply: ``train`` or ``analyze``.

    Raises:
        InputError: If a value breaks its rule.
    """
    for key, rule in RULES[primary].items():
        rule(key, _select(config, key))
    if primary == "train":
        _require_bound(config["trainer"])


def require_no_secrets(value: Any, place: str = "") -> None:
    """Refuses passwords and API keys: ``config.yaml`` and ``results.json`` store every value, and runs are shared.

    Args:
        value: A resolved configuration, or a part of it.
        place: The part's dotted key.

    Raises:
        InputError: If a value is a secret by its name or its form. The message does not show it.
    """
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            require_no_secrets(entry, f"{place}.{key}" if place else str(key))
    elif isinstance(value, str) and value and (looks_secret(place) or redacted(value) != value):
        raise InputError(
            f"Expected no password or API key in the configuration, but `{place}` looks like one. A run stores its "
            "configuration: pass secrets in environment variables, such as WANDB_API_KEY or HF_TOKEN"
        )


def check_parts(config: dict[str, Any]) -> None:
    """Checks what each group describes, and that strategy and precision go together; imports the parts.

    Raises:
        InputError: If a part is refused.
    """
    check_groups(config)
    trainer = config["trainer"]
    possible = _strategy_precisions(trainer.get("strategy", "auto"))
    if trainer["precision"] not in possible:
        rule = f"one of {', '.join(possible)} with trainer={config['choices']['trainer']}"
        refuse("trainer.precision", rule, trainer["precision"])


def _strategy_precisions(strategy: Any) -> tuple[str, ...]:
    """Returns the precisions that a strategy can train in.

    A strategy is admitted if each process holds whole parameters, or if it was written for this package and lists its
    ``precisions``. Under any other, gradient norms would be those of a shard, and checkpoints of another format.

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
        near = did_you_mean(str(name), STRATEGIES).strip()
        refuse(
            "trainer.strategy",
            f"one of {', '.join(STRATEGIES)} or a class of Lightning's DDPStrategy",
            name,
            f"{near} Sharded parameters: trainer=fsdp".strip(),
        )
    return possible


def _require_bound(trainer: dict[str, Any]) -> None:
    if trainer["max_epochs"] == -1 and trainer["max_steps"] == -1:
        raise InputError(
            "Expected trainer.max_epochs or trainer.max_steps to limit the run, but both are -1. Set one of them"
        )


def _select(config: dict[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _require_limit(key: str, value: Any) -> None:
    if value != -1 or not is_whole(value):
        require_whole(key, value, least=1, advice="-1 sets no limit")


def _require_list(key: str, value: Any) -> None:
    if not isinstance(value, list):
        refuse(key, "a list of kinds of events", value, f"Write {key}=[explosion]")


def _require_interval(key: str, value: Any) -> None:
    if not (is_whole(value) and value >= 1) and not (isinstance(value, float) and 0 < value <= 1):
        refuse(key, "a fraction of an epoch in (0, 1] or a positive whole number of batches", value)


def _require_one_machine(key: str, value: Any) -> None:
    if value is not None and value != 1:
        refuse(key, "1, since runs over several machines are not supported", value)


def _require_devices(key: str, value: Any) -> None:
    if value != "auto" and not (is_whole(value) and value >= 1):
        refuse(key, "a positive whole number or auto", value)


_SHARED: dict[str, Rule] = {
    **dict.fromkeys(
        ("seed", "seeds.init", "seeds.order", "seeds.dropout", "seeds.subset", "seeds.noise"),
        partial(require_whole, least=0, most=2**32 - 1),
    ),
    "force": require_switch,
}
RULES: dict[str, dict[str, Rule]] = {
    "train": {
        **_SHARED,
        "abort_on": _require_list,
        "checkpoint_every": partial(require_whole, least=1),
        "trainer.max_epochs": _require_limit,
        "trainer.max_steps": _require_limit,
        "trainer.accumulate_grad_batches": partial(require_whole, least=1),
        "trainer.val_check_interval": _require_interval,
        "trainer.precision": partial(require_choice, choices=PRECISIONS),
        "trainer.num_nodes": _require_one_machine,
        "trainer.log_every_n_steps": partial(require_whole, least=1),
        "trainer.gradient_clip_val": partial(require_positive, or_null=True),
        "trainer.accelerator": partial(require_choice, choices=ACCELERATORS),
        "trainer.devices": _require_devices,
    },
    "analyze": {
        **_SHARED,
        "accelerator": partial(require_choice, choices=ACCELERATORS),
        "devices": _require_devices,
    },
}
