"""Refuses YAML files whose aliases expand without bounds, before they fill the memory ("billion laughs")."""

from __future__ import annotations

from pathlib import Path

import yaml

from clsnorm.errors import InputError

LARGEST = 100_000  # values of a configuration, aliases expanded; a run has some hundreds


def require_bounded(path: Path) -> None:
    """Checks a file before it is read as a configuration; a few anchors and aliases are fine.

    Raises:
        InputError: If aliases repeat so many values, or a value contains itself.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    if "*" not in text or "&" not in text:
        return
    try:
        size = _size(yaml.compose(text, Loader=yaml.SafeLoader), {})
    except (yaml.YAMLError, RecursionError):
        return  # the reader of the configuration says where it is wrong
    if size > LARGEST:
        found = "values that contain themselves" if size == float("inf") else f"{size:,}"
        raise InputError(
            f"Expected {path} to hold at most {LARGEST:,} values, but its YAML aliases expand to {found}. "
            "Write the values out instead of `*name`"
        )


def _size(node: yaml.Node | None, sizes: dict[int, float]) -> float:
    """Returns the number of values in a node, those of aliases each time they occur; infinite if it contains itself."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = float("inf")  # until it is known, which it is not within itself
        children = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
        sizes[id(node)] = 1 + sum(_size(child, sizes) for child in children)
    return sizes[id(node)]
