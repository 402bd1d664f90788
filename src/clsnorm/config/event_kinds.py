"""Kinds of events, read from the source: a misspelt one is refused before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clsnorm.config.source_types import class_attribute
from clsnorm.errors import refuse, require_choice

RECORDS = ("clsnorm.records.Divergence", "clsnorm.records.SkippedSteps")  # of every run


def check_abort_on(kinds: object, callbacks: object) -> None:
    """Checks ``abort_on``, as `clsnorm.records.Abort` does once the callbacks are built.

    Args:
        kinds: The events that end training.
        callbacks: The callbacks' configurations by name. With a callback of another package, every kind passes.

    Raises:
        InputError: If ``kinds`` is not a list, or if none of the callbacks reports one of them.
    """
    if not isinstance(kinds, list):
        refuse("abort_on", "a list of kinds of events", kinds, "Write abort_on=[explosion]")
    nodes = callbacks.values() if isinstance(callbacks, Mapping) else ()
    targets = [node.get("_target_") for node in nodes if isinstance(node, Mapping)]
    reported = [_kinds_of(target) for target in (*targets, *RECORDS)]
    if None in reported:
        return
    known = [kind for of_one in reported for kind in of_one or ()]
    for kind in kinds:
        require_choice("abort_on", kind, known, advice="Events are reported by the run's callbacks")


def _kinds_of(target: Any) -> tuple[str, ...] | None:
    """Returns the kinds that a callback reports; None if it is not of this package."""
    if not isinstance(target, str) or not target.startswith("clsnorm."):
        return None
    found = class_attribute(*target.rpartition(".")[::2], "kinds")
    return found if isinstance(found, tuple) else ()
