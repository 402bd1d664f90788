"""One straight way from a composed configuration to plain, checked values."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from clsnorm.config.choices import require_known
from clsnorm.config.names import HASHES, group_choices, recorded, require_chosen
from clsnorm.config.rules import check_values, require_no_secrets


def prepare(config: DictConfig, primary: str = "train") -> dict[str, Any]:
    """Returns ``config`` as plain values, checked as far as that needs no torch.

    Every key must exist. Interpolations are resolved, a user's paths become absolute, ``config_hash`` and ``choices``
    (the chosen option of each group) are added, and every value is checked by its rule.

    Args:
        config: As Hydra composed it; Hydra knows the choices.
        primary: The file it was composed from, such as ``train`` or ``analyze``.

    Raises:
        InputError: If a key is unknown or a value breaks its rule.
    """
    require_known(config, primary)
    choices = group_choices(config)
    plain = recorded(config)
    require_no_secrets(plain)
    plain["config_hash"] = HASHES[primary](config)
    if primary == "train":
        require_chosen(choices)
    plain["choices"] = {group: name for group, name in choices.items() if group in plain or group == "experiment"}
    check_values(plain, primary)
    return plain
