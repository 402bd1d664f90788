"""Roles: which classes each config group may name. Checks them, then builds objects from the configuration.

``_target_`` runs code, so each group admits only subclasses of its base classes, from this package, from the libraries
it builds on, or from packages that the environment variable ``CLSNORM_PACKAGES`` (comma-separated) lists. A
configuration alone can never admit a package.
"""

import contextlib
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clsnorm.config import lightning_callbacks
from clsnorm.config.types import misfits
from clsnorm.errors import InputError, did_you_mean, refuse
from clsnorm.redaction import shown

PACKAGES = ("clsnorm", "torch", "torchmetrics", "pytorch_lightning")


@dataclass(frozen=True)
class Role:
    """What a config group may build.

    Attributes:
        bases: Qualified names of the classes of which the group's own target must be a subclass.
        parts: The same for targets nested below it.
        several: Whether the group holds any number of such nodes, by name.
        refused: Qualified names of classes that are not admitted all the same, nor their subclasses: why, and what to
            use instead.
    """

    bases: tuple[str, ...]
    parts: tuple[str, ...] = ()
    several: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)


ROLES = {
    "data": Role(
        ("pytorch_lightning.LightningDataModule",),
        parts=("torchmetrics.Metric", "clsnorm.data.Source", "clsnorm.data.Reader"),
    ),
    "model": Role(("clsnorm.model.Encoder",)),
    "normalizer": Role(("clsnorm.normalizers.Normalizer",)),
    "classifier": Role(("clsnorm.model.Classifier",), parts=("torch.nn.Linear", "clsnorm.model.CosineHead")),
    "loss": Role(("clsnorm.losses.Loss",)),
    "regularizer": Role(("clsnorm.regularizers.Regularizer",)),
    "optimizer": Role(("torch.optim.Optimizer",)),
    "scheduler": Role(("torch.optim.lr_scheduler.LRScheduler",)),
    "trainer": Role(("pytorch_lightning.Trainer",), parts=("pytorch_lightning.strategies.Strategy",)),
    "callbacks": Role(
        ("pytorch_lightning.Callback",),
        several=True,
        refused={f"{lightning_callbacks.PLACE}.{name}": reason for name, reason in lightning_callbacks.REFUSED.items()},
    ),
    "logger": Role(("pytorch_lightning.loggers.Logger",), several=True),
}


def check_groups(config: dict[str, Any], groups: Iterable[str] = tuple(ROLES)) -> None:
    """Checks what each group describes, before anything is built.

    Raises:
        InputError: If a group is no mapping, a target is not admitted, or an argument does not fit its annotation.
    """
    for group in groups:
        for place, node in nodes_of(config, group).items():
            check_node(node, place)


def nodes_of(config: dict[str, Any], group: str) -> dict[str, Any]:
    """Returns the nodes of a group by their dotted keys in ``config``: the group itself, or each of its entries."""
    node = config.get(group)
    if not ROLES[group].several:
        return {group: node}
    if not isinstance(node, dict | None):
        raise InputError(f"Expected `{group}` to be a mapping of names to parts, but got {node!r}")
    return {f"{group}.{name}": entry for name, entry in (node or {}).items()}


def instantiate(node: dict[str, Any], place: str, *arguments: Any, **named: Any) -> Any:
    """Builds the object that ``node`` describes, after `check_node`.

    Args:
        node: A plain mapping with a ``_target_``.
        place: The node's dotted key: the group, in a group of several with the entry: ``logger.wandb``.
        arguments: Known only at run time, such as the embedding's width.
        named: The same, by name.

    Raises:
        InputError: If the node is refused, sets an argument known only at run time, or its target refuses an argument.
    """
    for name in node.keys() & named.keys():
        raise InputError(f"Expected argument `{place}.{name}` to be left out: the run itself sets it")
    partial = instantiate_partial(node, place)
    with refusals_of(place, node):
        return partial(*arguments, **named)


def instantiate_partial(node: dict[str, Any], place: str) -> Any:
    """Returns a partial of the node's target, after `check_node`: a later call builds the object."""
    from hydra.utils import instantiate as build

    check_node(node, place)
    with refusals_of(place, node):
        return build({**node, "_partial_": True}, _convert_="all")


@contextlib.contextmanager
def refusals_of(place: str, node: dict[str, Any]) -> Iterator[None]:
    """Turns a constructor's error about its arguments into an `InputError` that names the node and its values."""
    from hydra.errors import InstantiationException
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    try:
        yield
    except (InstantiationException, MisconfigurationException, TypeError, ValueError) as error:
        cause = root_cause(error)
        if isinstance(cause, InputError):
            raise cause from None
        given = ", ".join(f"{key}={shown(key, value)}" for key, value in node.items() if not key.startswith("_"))
        raise InputError(f"{place}: {cause} (given: {given})") from error


def root_cause(error: BaseException) -> BaseException:
    """Returns the first `InputError` of a chain of exceptions, which is written for the user, else its last one."""
    while error.__cause__ is not None and not isinstance(error, InputError):
        error = error.__cause__
    return error


def check_node(node: Any, place: str) -> None:
    """Raises `InputError` unless each target in ``node`` is admitted and its arguments fit their annotations.

    Args:
        node: A plain mapping with a ``_target_``.
        place: As in `instantiate`; its group decides which classes are admitted.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise InputError(
            f"Expected `{place}` to be a mapping that names a class as its _target_, but got {shown(place, node)}"
        )
    rule = ROLES[place.partition(".")[0]]
    _refuse_interpolations(node, place)
    for where, part in _targets(node, place):
        if unnamed := {"_args_", "_recursive_"} & part.keys():
            raise InputError(f"Expected `{where}` to give its arguments by name, but got {', '.join(unnamed)}")
        kind = _admitted(part["_target_"], where, rule if part is node else Role(rule.parts))
        if isinstance(kind, type):
            for name, wanted in misfits(kind, part):
                refuse(f"{where}.{name}", wanted, part[name])


def _refuse_interpolations(node: Any, place: str) -> None:
    """Refuses interpolations: a run's ``config.yaml`` is resolved, but building would resolve those of a forged one."""
    if isinstance(node, dict):
        for name, value in node.items():
            _refuse_interpolations(value, f"{place}.{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _refuse_interpolations(value, f"{place}[{index}]")
    elif isinstance(node, str) and "${" in node:
        refuse(place, "a value without ${...}", node)


def _targets(node: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield place, node
        for name, value in node.items():
            yield from _targets(value, f"{place}.{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(value, f"{place}[{index}]")


def _admitted(target: Any, place: str, rule: Role) -> Any:
    """Returns the object of that name; raises `InputError` unless the rule admits it."""
    admitted = (*PACKAGES, *filter(None, os.environ.get("CLSNORM_PACKAGES", "").split(",")))
    if not isinstance(target, str) or target.partition(".")[0] not in admitted:
        raise InputError(
            f"Expected the target of `{place}` to be in one of {', '.join(admitted)}, but got {target!r}. "
            "List your own package in the environment variable CLSNORM_PACKAGES"
        )
    found = locate(target, place)
    bases = tuple(locate(base, place) for base in rule.bases)
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise InputError(
            f"Expected the target of `{place}` to be a subclass of {' or '.join(rule.bases)}, got {target!r}"
        )
    for name, reason in rule.refused.items():
        if issubclass(found, locate(name, place)):
            raise InputError(
                f"Expected the target of `{place}` to be no {name.rpartition('.')[2]}, got {target!r}. {reason}"
            )
    return found


def locate(target: str, place: str) -> Any:
    """Imports the object of a dotted name.

    Raises:
        InputError: If it does not exist.
    """
    module_name, _, name = target.rpartition(".")
    if "__" in module_name:  # such as __main__, which runs a command when imported
        raise InputError(f"Expected the target of `{place}` to be a class of a module, but got {target!r}")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:  # a name without a dot has no module
        raise InputError(f"The target {target!r} of `{place}` cannot be imported: {error}") from error
    if not hasattr(module, name):
        raise InputError(f"The target {target!r} of `{place}` does not exist.{did_you_mean(name, dir(module))}")
    return getattr(module, name)
