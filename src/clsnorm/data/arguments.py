"""Rules that the arguments of a data set must keep."""

from collections.abc import Collection, Mapping, Sequence
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


def require_workers(count: int) -> None:
    """Raises InputError unless ``count`` is a whole number of processes, 0 or more."""
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise InputError(
            f"Expected argument `data.num_workers` to be a whole number, 0 for no process of its own, but got {count!r}"
        )


def require_counts(rows: Mapping[str, int | None], splits: Collection[str]) -> None:
    """Raises InputError unless ``rows`` states whole numbers, or None, of rows of published ``splits``."""
    for split, count in rows.items():
        require_choice("rows", split, tuple(splits))
        require_positive({} if count is None else {f"rows.{split}": count})


def require_untrained(untrained: Sequence[str], labels: Sequence[str] | None) -> None:
    """Raises InputError unless ``untrained`` names stated classes: those that are found have rows in train."""
    if untrained and labels is None:
        raise InputError(
            f"Expected argument `data.untrained` to be empty where data.labels is null, but got {list(untrained)}. "
            "Name all classes in data.labels"
        )
    for name in untrained:
        require_choice("untrained", name, labels or ())
