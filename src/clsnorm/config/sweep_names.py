"""The name of a sweep's folder: the chosen file, or what a typed command varies and fixes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clsnorm.config.names import RESULT_GROUPS, SPEED_ONLY_KEYS, group_choices

DEFAULT = "adhoc"  # of a sweep in which nothing varies
LONGEST = 80  # letters
NAMING = (*RESULT_GROUPS, "experiment", "seed", "abort_on")  # what can change a result


def sweep_name(*, _root_: DictConfig) -> str:
    """Resolver ``${sweep_name:}``: the chosen file of ``sweep``, or for a typed sweep `typed_name`.

    In a job, the name of the folder in which the sweep is.
    """
    if "hydra" not in _root_:
        from hydra.core.hydra_config import HydraConfig

        place = OmegaConf.to_container(HydraConfig.get().sweep, resolve=False)["dir"]  # type: ignore[index,call-overload]
        return DEFAULT if "${" in str(place) else Path(place).name
    sweep = group_choices(_root_).get("sweep")
    if sweep not in (None, "none"):
        return str(sweep)
    words: Any = OmegaConf.to_container(_root_.hydra.overrides.task, resolve=False)  # a word may hold "${...}"
    return typed_name(words)


def typed_name(words: Sequence[str]) -> str:
    """Returns a name for a sweep from its overrides: the keys that vary, whatever their values, then what is fixed.

    So the same command with more seeds meets the same folder, and one with another fixed value meets another folder.
    The order of the words, and words that cannot change a result, do not count.

    Example:
        >>> typed_name(["data=sst2", "seed=range(3)", "normalizer=identity,layernorm", "logger=wandb"])
        'normalizer_x_seed_sst2'
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    fixed: list[str] = []
    varied: list[str] = []
    for override in OverridesParser.create().parse_overrides(list(words)):
        key = override.key_or_group
        group, _, rest = key.partition(".")
        if group not in NAMING or rest in SPEED_ONLY_KEYS.get(group, ()):
            continue
        if override.is_sweep_override():
            varied.append(key)
        else:
            value = override.get_value_element_as_str()
            fixed.append(f"{key}={value}" if rest or key in ("seed", "abort_on") else value)
    varied.sort()
    fixed.sort(key=lambda part: ("=" in part, part))  # choices of groups first
    shown = [_shortened(part) for part in fixed]
    keys = "_x_".join(sorted(key.rpartition(".")[2] for key in varied))
    name = "_".join(filter(None, [keys, *shown])) or DEFAULT
    if len(name) <= LONGEST and all(part.endswith(seen) for part, seen in zip(fixed, shown, strict=True)):
        return name
    return f"{name[:LONGEST]}-{hashlib.sha256(repr((varied, fixed)).encode()).hexdigest()[:6]}"


def _shortened(part: str) -> str:
    """Returns ``lr=1e-3`` of ``optimizer.lr=1e-3``, the stem of a path, and no letter that is special in names."""
    key, equals, value = part.rpartition("=")
    value = Path(value).stem if "/" in value else value
    return re.sub(r"[^\w.=+-]+", "-", f"{key.rpartition('.')[2]}{equals}{value}")
