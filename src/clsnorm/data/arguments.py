"""Rules that the arguments of a data set must keep."""

from collections.abc import Mapping, Sequence
from typing import Any

from clsnorm.errors import InputError, did_you_mean

TASKS = ("classification", "regression")


def require_positive(sizes: Mapping[str, int]) -> None:
    """Raises InputError unless all are positive whole numbers."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InputError(f"Expected argument `data.{name}` to be a positive integer, but got {size!r}")


def require_share(name: str, value: float) -> None:
    """Raises InputError unless ``value`` is a number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"Expected argument `data.{name}` to be a share in [0, 1], but got {value!r}")


def require_seeds(seeds: Mapping[str, int]) -> None:
    """Raises InputError unless all are at least 0."""
    if min(seeds.values()) < 0:
        given = ", ".join(f"{seed} ({name})" for name, seed in seeds.items())
        raise InputError(f"Expected seeds to be at least 0, but got {given}")


def require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises InputError unless ``value`` is one of ``choices``."""
    if value not in choices:
        near = did_you_mean(str(value), choices)
        raise InputError(f"Expected argument `data.{name}` to be one of {', '.join(choices)}, but got {value!r}.{near}")


def require_labels(labels: Sequence[Any] | None, task: str) -> None:
    """Raises InputError unless ``labels`` is None, or two or more different names of classes."""
    if labels is None:
        return
    names = [str(label) for label in labels]
    if task == "regression" or len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"Expected argument `data.labels` to name two or more different classes, or null for regression, but got "
            f"{names} for {task}"
        )
