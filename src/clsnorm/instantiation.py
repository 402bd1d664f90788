"""Building objects from configuration, by role: what a config may name is checked before it runs.

``_target_`` runs code, so each group admits only subclasses of its base classes, in this package, in the libraries it
stands on, or in packages that the environment variable ``CLSNORM_PACKAGES`` (comma-separated) names. A configuration
can never admit a package by itself.
"""

import contextlib
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PACKAGES = ("clsnorm", "torch", "torchmetrics", "pytorch_lightning")


@dataclass(frozen=True)
class Role:
    """What a config group may build.

    Attributes:
        bases: Qualified names of the classes of which the group's own target must be a subclass.
        parts: The same for targets nested below it.
        functions: Qualified names of functions that are allowed as the group's target, one by one.
    """

    bases: tuple[str, ...]
    parts: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()


ROLES = {
    "data": Role(
        ("pytorch_lightning.LightningDataModule",),
        parts=("torchmetrics.Metric", "clsnorm.data.Source", "clsnorm.data.Reader"),
    ),
    "model": Role(("clsnorm.model.Encoder",)),
    "normalizer": Role(("clsnorm.normalizers.Normalizer",)),
    "classifier": Role(("clsnorm.model.Classifier",), parts=("torch.nn.Linear", "clsnorm.model.CosineHead")),
    "optimizer": Role(("torch.optim.Optimizer",)),
    "scheduler": Role(("torch.optim.lr_scheduler.LRScheduler",)),
    "trainer": Role(("pytorch_lightning.Trainer",), parts=("pytorch_lightning.strategies.Strategy",)),
    "callbacks": Role(("pytorch_lightning.Callback",)),
    "logger": Role(("pytorch_lightning.loggers.Logger",)),
}


def instantiate(node: dict[str, Any], role: str, *arguments: Any, **named: Any) -> Any:
    """Builds the object that ``node`` describes, after checking that its ``role`` admits each ``_target_`` in it.

    Args:
        node: A plain mapping with a ``_target_``.
        role: Name of the config group.
        arguments: What only the program knows, such as the embedding's width.
        named: The same, by name.

    Raises:
        InputError: If a target does not exist or is not admitted, or if it refuses its arguments.
    """
    partial = instantiate_partial({**node, "_partial_": True}, role)
    with refusals_of(role, node):
        return partial(*arguments, **named)


def instantiate_partial(node: dict[str, Any], role: str) -> Any:
    """As `instantiate`, but the ``_partial_`` node is left to be called later."""
    from hydra.utils import instantiate as build

    check_targets(node, role)
    with refusals_of(role, node):
        return build(node, _convert_="all")


@contextlib.contextmanager
def refusals_of(role: str, node: dict[str, Any]) -> Iterator[None]:
    """Turns what a constructor says of its arguments into an `InputError` that names group and values."""
    from hydra.errors import InstantiationException
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from clsnorm.errors import InputError

    try:
        yield
    except (InstantiationException, MisconfigurationException, TypeError, ValueError) as error:
        cause = root_cause(error)
        if isinstance(cause, InputError):
            raise cause from None
        given = ", ".join(f"{key}={value!r}" for key, value in node.items() if not key.startswith("_"))
        raise InputError(f"{role}: {cause} (given: {given})") from error


def root_cause(error: BaseException) -> BaseException:
    """Returns the exception at the bottom of a chain, or the first `InputError` in it: what it says is for the user."""
    from clsnorm.errors import InputError

    while error.__cause__ is not None and not isinstance(error, InputError):
        error = error.__cause__
    return error


def check_targets(node: Any, role: str) -> None:
    """Raises `InputError` unless ``role`` admits each ``_target_`` in ``node``."""
    rule = ROLES[role]
    for depth, target in _targets(node):
        _check_target(target, role, rule if depth == 0 else Role(rule.parts))


def _targets(node: Any, depth: int = 0) -> Iterator[tuple[int, str]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield depth, node["_target_"]
        for value in node.values():
            yield from _targets(value, depth + 1)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value, depth + 1)


def _check_target(target: str, role: str, rule: Role) -> None:
    from clsnorm.errors import InputError

    admitted = (*PACKAGES, *filter(None, os.environ.get("CLSNORM_PACKAGES", "").split(",")))
    if target.partition(".")[0] not in admitted:
        raise InputError(
            f"Expected the target of `{role}` to be in one of {', '.join(admitted)}, but got {target!r}. "
            "Name your own package in the environment variable CLSNORM_PACKAGES"
        )
    if target in rule.functions:
        return
    found = locate(target, role)
    bases = tuple(locate(base, role) for base in rule.bases)
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise InputError(
            f"Expected the target of `{role}` to be a subclass of {' or '.join(rule.bases)}, got {target!r}"
        )


def locate(target: str, role: str) -> Any:
    """Imports the object of a dotted name.

    Raises:
        InputError: If there is none.
    """
    from clsnorm.errors import InputError, did_you_mean

    module_name, _, name = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(f"The target {target!r} of `{role}` cannot be imported: {error}") from error
    if not hasattr(module, name):
        raise InputError(f"The target {target!r} of `{role}` does not exist.{did_you_mean(name, dir(module))}")
    return getattr(module, name)
