"""All statistics of a `Snapshot`. To add one: a formula with the decorator ``@statistic`` in a file of ``families``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clsnorm.errors import InputError, did_you_mean
from clsnorm.pages.numbers import compared
from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.families import FAMILIES
from clsnorm.statistics.statistic import REGISTERED, Statistic

# By family, and within a family in the order of definition.
CATALOGUE: tuple[Statistic, ...] = tuple(sorted(REGISTERED.values(), key=lambda s: FAMILIES.index(s.family)))


@dataclass(frozen=True)
class Value:
    """A number, and what noise (for classes: labels at random) would give; None where that is not known.

    Attributes:
        value: The number.
        null: Mean of the null.
        low: Lower end of the interval that holds 95 % of the null.
        high: Upper end.
        p_below: Probability of such a number or a smaller one under the null.
        p_above: Probability of such a number or a larger one.
    """

    value: float
    null: float | None
    low: float | None = None
    high: float | None = None
    p_below: float | None = None
    p_above: float | None = None

    @property
    def verdict(self) -> str:
        """``below``, ``within`` or ``above`` the interval; empty if there is none or the number is undefined."""
        return compared(self.value, self.low, self.high)


def describe(snapshot: Snapshot, *, intervals: bool = False) -> dict[str, Value]:
    """Returns every statistic of a snapshot by name.

    All are NaN if there are fewer than two rows or a row was not finite. Those of classes are left out if there are
    fewer than two classes.

    Args:
        snapshot: The accumulators.
        intervals: Whether to add the spread of the nulls, by known distributions, simulation or permutation (a few
            seconds; needs SciPy). A null without a closed form is then the mean of that.
    """
    found = {s.name: evaluate(s, snapshot, intervals=intervals) for s in CATALOGUE if s.applies_to(snapshot)}
    snapshot.forget_random_labels()
    return found


def evaluate(statistic: Statistic, snapshot: Snapshot, *, intervals: bool = False) -> Value:
    """Returns one statistic of a snapshot, as `describe` does."""
    value = statistic.value(snapshot)
    null = statistic.expected(snapshot)
    spread = statistic.spread(snapshot) if intervals else None
    if spread is None:
        return Value(value, null)
    below, above = (None, None) if math.isnan(value) else (spread.at_most(value), spread.at_least(value))
    return Value(
        value, spread.mean() if null is None or statistic.conditional else null, *spread.interval(), below, above
    )


def find(name: str, *, argument: str) -> Statistic:
    """Returns the statistic of the catalogue with this name or alias.

    Args:
        name: Such as ``spectrum/isoscore`` or ``isoscore``.
        argument: Where the name was given, for the message.

    Raises:
        InputError: If there is none.
    """
    for statistic in CATALOGUE:
        if name in (statistic.name, statistic.key, statistic.formerly):
            return statistic
    known = [statistic.key for statistic in CATALOGUE]
    raise InputError(
        f"Expected argument `{argument}` to name statistics of the catalogue, but got {name!r}."
        f"{did_you_mean(name, known)} There are: {', '.join(known)}"
    )
