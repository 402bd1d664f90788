"""Names of jobs that differ in single values only, without composing each: a thousand in the time of four.

Hydra takes a quarter of a second to compose a job. Jobs with the same choices of groups differ in a few plain values,
such as seeds, and in what refers to these by ``${...}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clsnorm.config import names

Path = tuple[str, ...]
REFERENCE = re.compile(r"\$\{(\.*)([\w.]+)\}")
OTHERWISE = ("paths", "callbacks", "abort_on", "hydra")  # these enter a name in other ways than by their value


class NotPlainError(Exception):
    """A value enters the configuration in a way that only composing can follow."""


class Template:
    """The configuration of one job, in which some values can be replaced.

    Args:
        config: As Hydra composed it.
        keys: Dotted keys of the values.

    Raises:
        NotPlainError: If one of them is more than a value, or something is computed from it.
    """

    def __init__(self, config: DictConfig, keys: Iterable[str]) -> None:
        self._choices = dict(config.hydra.runtime.choices)
        job = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        raw: Any = OmegaConf.to_container(job, resolve=False)
        self._resolved = resolved_groups(job)
        self._leaves = dict(_leaves(raw))
        self._keys = {tuple(key.split(".")) for key in keys}
        self._places: dict[Path, list[Path]] = {key: [] for key in self._keys}
        for key in self._keys:
            if key not in self._leaves or key[0] in OTHERWISE:
                raise NotPlainError(".".join(key))
        for path in self._leaves:
            for key in self._origins(path, ()):
                self._places[key].append(path)
        for path in (path for paths in self._places.values() for path in paths):
            if _enters_otherwise(path):
                raise NotPlainError(".".join(path))
        self._hashed = names.hashed_config(job)

    def name(self, values: Mapping[str, Any]) -> str:
        """Returns the name of the run in which the keys have these ``values``."""
        for key, value in values.items():
            for path in self._places[tuple(key.split("."))]:
                _replace(self._hashed, path, value)
                _replace(self._resolved, path, value)
        return names.name_of(self._choices, self._resolved["seed"], names.hash_of(self._hashed))

    @property
    def resolved(self) -> dict[str, Any]:
        """The plain values of the run that was named last."""
        return self._resolved

    def _origins(self, path: Path, followed: tuple[Path, ...]) -> set[Path]:
        """Returns which key a value is or refers to, directly or through others; none if its value stays."""
        if path in self._keys:
            return {path}
        value = self._leaves.get(path)
        if not isinstance(value, str) or "${" not in value or path in followed:
            return set()
        found: set[Path] = set()
        for target in _targets(value, path):
            below = [leaf for leaf in self._leaves if leaf[: len(target)] == target]
            origins = set().union(*(self._origins(leaf, (*followed, path)) for leaf in below))
            if origins and (below != [target] or not REFERENCE.fullmatch(value)):
                raise NotPlainError(".".join(path))
            found |= origins
        return found


def resolved_groups(config: DictConfig) -> dict[str, Any]:
    """Returns plain values of ``seed`` and of the groups that can change a result."""
    parts = [str(key) for key in config if key in (*names.RESULT_GROUPS, "seed", "keep_weights")]
    return {
        part: OmegaConf.to_container(config[part], resolve=True) if OmegaConf.is_config(config[part]) else config[part]
        for part in parts
    }


def _leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(node, list) and node:
        for index, value in enumerate(node):
            yield from _leaves(value, (*path, str(index)))
    else:
        yield path, node


def _targets(value: str, path: Path) -> Iterator[Path]:
    for dots, dotted in REFERENCE.findall(value):
        above = path[: len(path) - len(dots)] if dots else ()
        yield (*above, *dotted.split("."))


def _enters_otherwise(path: Path) -> bool:
    """Does a name depend on the content of a file, or not at all on a default?"""
    kinds: tuple[Mapping[str, Any], ...] = (names.NAMED_BY_CONTENT, names.ADDED)
    return len(path) > 1 and any(path[1] in kind.get(path[0], {}) for kind in kinds)


def _replace(node: Any, path: Path, value: Any) -> None:
    """Replaces a value where it exists: a part that cannot change a result is not in the dict of a hash."""
    for key in path[:-1]:
        node = node[int(key)] if isinstance(node, list) else node.get(key) if isinstance(node, dict) else None
    if isinstance(node, list):
        node[int(path[-1])] = value
    elif isinstance(node, dict) and path[-1] in node:
        node[path[-1]] = value
