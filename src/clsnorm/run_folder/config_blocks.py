"""``config.yaml`` of thousands of runs in seconds: runs of a sweep share most of their text, so it is parsed once."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from clsnorm.errors import DamagedFileError
from clsnorm.run_folder.stored_config import CURE

_KEY = re.compile(r"^(?=[A-Za-z_]\w*:)", re.MULTILINE)  # a key at the left margin begins a block


def read_blocks(path: Path) -> dict[str, str]:
    """Returns the text of each top-level key of a configuration, in the file's order; `flat` parses it.

    Raises:
        DamagedFileError: If the file is no UTF-8, or holds no key.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise DamagedFileError.of(path, f"it cannot be read ({type(error).__name__})", CURE) from None
    blocks = {block.partition(":")[0]: sys.intern(block) for block in _KEY.split(text) if _KEY.match(block)}
    if not blocks:
        raise DamagedFileError.of(path, "it holds no mapping", CURE)
    return blocks


@lru_cache(maxsize=1 << 14)
def parsed(block: str) -> Any:
    """Returns the value of a block's key. It is shared by all runs with this text: do not change it.

    Raises:
        ValueError: If it is not YAML of a configuration.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import AliasEvent, YAMLError, parse

    try:
        if any(isinstance(event, AliasEvent) for event in parse(block)):
            raise ValueError("it has an alias")
        (value,) = dict(OmegaConf.to_container(OmegaConf.create(block))).values()  # type: ignore[arg-type]
    except (YAMLError, OmegaConfBaseException, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())[:120]) from None
    return value


@lru_cache(maxsize=1 << 14)
def flat(block: str) -> Mapping[str, Any]:
    """Returns the value of each leaf of a block by its dotted name, such as ``optimizer.lr``; lists are leaves."""
    found: dict[str, Any] = {}
    _collect(block.partition(":")[0], parsed(block), found)
    return found


def _collect(name: str, value: Any, found: dict[str, Any]) -> None:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _collect(f"{name}.{key}", item, found)
    else:
        found[name] = value
