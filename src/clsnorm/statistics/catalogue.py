"""All statistics of a `Snapshot`. To add one: a formula with the decorator ``@statistic`` in a file of ``families``."""

from __future__ import annotations

from dataclasses import dataclass

from clsnorm.errors import InputError, did_you_mean
from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.families import FAMILIES
from clsnorm.statistics.statistic import REGISTERED, Statistic

# By family, and within a family in the order of definition.
CATALOGUE: tuple[Statistic, ...] = tuple(sorted(REGISTERED.values(), key=lambda s: FAMILIES.index(s.family)))


@dataclass(frozen=True)
class Value:
    """A number, and the value that noise would give; None if that is not known."""

    value: float
    null: float | None


def describe(snapshot: Snapshot) -> dict[str, Value]:
    """Returns every statistic of a snapshot by name.

    All are NaN if there are fewer than two rows or a row was not finite. Those of classes are left out if there are
    fewer than two classes.
    """
    found = {}
    for statistic in CATALOGUE:
        if statistic.applies_to(snapshot):
            null = statistic.null(snapshot) if statistic.null and snapshot.count >= 2 else None
            found[statistic.name] = Value(statistic.value(snapshot), null)
    return found


def find(name: str, *, argument: str) -> Statistic:
    """Returns the statistic of the catalogue with this name or alias.

    Args:
        name: Such as ``spectrum/isoscore`` or ``isoscore``.
        argument: Where the name was given, for the message.

    Raises:
        InputError: If there is none.
    """
    for statistic in CATALOGUE:
        if name in (statistic.name, statistic.key):
            return statistic
    known = [statistic.key for statistic in CATALOGUE]
    raise InputError(
        f"Expected argument `{argument}` to name statistics of the catalogue, but got {name!r}."
        f"{did_you_mean(name, known)} There are: {', '.join(known)}"
    )
