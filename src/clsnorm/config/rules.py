"""Rules that no single part can check: of top-level values, and of parts that must fit together."""

from __future__ import annotations

from functools import partial
from typing import Any

from clsnorm.config.event_kinds import check_abort_on
from clsnorm.config.roles import check_groups, locate
from clsnorm.config.source_rules import check_source_rules
from clsnorm.config.source_types import source_misfits
from clsnorm.config.trainer_arguments import ACCELERATORS, PRECISIONS, Rule, check_trainer, require_devices
from clsnorm.errors import InputError, did_you_mean, refuse, require_choice, require_switch, require_whole
from clsnorm.redaction import looks_secret, redacted

SPLITS = ("report", "select", "train", "all")  # what an evaluation scores
KEPT_WEIGHTS = ("selected", "none", "all")
STRATEGIES = ("auto", "single_device", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")


def check_values(config: dict[str, Any], primary: str = "train") -> None:
    """Checks the values of a resolved configuration, one by one; imports no torch.

    Args:
        config: Plain values.
        primary: Whose rules apply: ``train``, ``analyze`` or ``probe``.

    Raises:
        InputError: If a value breaks its rule.
    """
    for key, rule in RULES[primary].items():
        rule(key, _select(config, key))
    _check_arguments(config, "")
    if primary == "train":
        check_abort_on(config.get("abort_on"), config.get("callbacks"))
        check_trainer(config["trainer"])


def _check_arguments(node: Any, place: str) -> None:
    """Checks types and ranges of the arguments of all classes that are named."""
    if isinstance(node, dict):
        for name, wanted in source_misfits(node.get("_target_"), node):
            refuse(f"{place}{name}", wanted, node[name])
        check_source_rules(node.get("_target_"), node)
        for name, value in node.items():
            _check_arguments(value, f"{place}{name}.")


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

    if isinstance(strategy, dict) and "_target_" in strategy:
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


def _select(config: dict[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _require_folder(key: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        refuse(key, "the folder of a finished run", value, f"Type {key}=runs/NAME")


def _require_mapping(key: str, value: Any) -> None:
    if value is not None and not isinstance(value, dict):
        refuse(key, "a mapping", value, f"Write '{key}={{class of the run: class of the data}}'")


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
        "checkpoint_every": partial(require_whole, least=1),
        "keep_weights": partial(require_choice, choices=KEPT_WEIGHTS),
    },
    "analyze": {
        **_SHARED,
        "accelerator": partial(require_choice, choices=ACCELERATORS),
        "devices": require_devices,
    },
    "probe": {
        **_SHARED,
        "accelerator": partial(require_choice, choices=ACCELERATORS),
        "leak": require_switch,
        "folds": partial(require_whole, least=2, most=20),
        "shots": partial(require_whole, least=1),
        "draws": partial(require_whole, least=2),
        "resamples": partial(require_whole, least=100, most=100_000),
    },
    "evaluate": {
        **_SHARED,
        "accelerator": partial(require_choice, choices=ACCELERATORS),
        "split": partial(require_choice, choices=SPLITS),
        "run": _require_folder,
        "classes": _require_mapping,
        "resamples": partial(require_whole, least=100, most=100_000),
    },
}
