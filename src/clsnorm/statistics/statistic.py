"""`Statistic`, and the decorator that adds one to the catalogue where its formula is defined."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clsnorm.statistics.accumulators.snapshot import Snapshot

REGISTERED: dict[str, Statistic] = {}  # by name, in the order of definition; `clsnorm.statistics.CATALOGUE` orders them


@dataclass(frozen=True)
class Statistic:
    """A number computed from a snapshot.

    Attributes:
        name: Its key, ``family/name``.
        unit: ``share`` (0 to 1), ``count``, ``ratio``, ``cosine``, ``correlation``, ``norm`` or ``nats``.
        meaning: What it says, with its formula.
        source: Where it comes from.
        compute: From a snapshot to the number; NaN where it is undefined.
        null: The mean over as many draws from an isotropic normal around zero (for classes: over random labels of these
            rows); None where no closed form is known.
        alias: Its key in the logs of a run, if shorter than ``name``.
        conditional: Whether the null depends on the rows themselves, not only on their number.
    """

    name: str
    unit: str
    meaning: str
    source: str
    compute: Callable[[Snapshot], float]
    null: Callable[[Snapshot], float] | None = None
    alias: str = ""
    conditional: bool = False

    @property
    def key(self) -> str:
        """Its key in the logs of a run."""
        return self.alias or self.name

    @property
    def family(self) -> str:
        """The part of its name before the slash: the module in ``families`` that defines it."""
        return self.name.partition("/")[0]

    def applies_to(self, snapshot: Snapshot) -> bool:
        """Returns whether it is defined for such data: numbers of classes need two of them."""
        return snapshot.num_classes >= 2 or self.family != "classes"

    def value(self, snapshot: Snapshot) -> float:
        """Returns the number; NaN if there are fewer than two rows, or one was not finite."""
        return self.compute(snapshot) if snapshot.count >= 2 and snapshot.not_finite == 0 else math.nan


def statistic(
    name: str,
    *,
    unit: str,
    source: str,
    of: Callable[[Snapshot], Any] | None = None,
    null: Callable[[Snapshot], float] | None = None,
    null_of: Callable[[Snapshot], Any] | None = None,
    meaning: str = "",
    alias: str = "",
    conditional: bool = False,
) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Adds the decorated formula to the catalogue and returns it unchanged.

    The module ``clsnorm.statistics.families.FAMILY`` holds the formulas named ``FAMILY/...``, and the catalogue lists
    them in the order of definition.

    Args:
        name: ``family/name``.
        unit: See `Statistic`.
        source: A reference, or `ELEMENTARY`.
        of: The part of a snapshot that the formula takes, such as its eigenvalues; the snapshot itself if left out.
        null: The value for noise.
        null_of: In place of ``null`` where the same formula gives it: what noise shows of the part ``of``.
        meaning: What the documentation says; by default the first line of the formula's docstring.
        alias: See `Statistic`.
        conditional: See `Statistic`.

    Raises:
        ValueError: The name is taken, or there is no meaning.

    Example:
        >>> @statistic("centre/norm", unit="norm", source=ELEMENTARY)  # doctest: +SKIP
        ... def norm(s: Snapshot) -> float:
        ...     "Norm of the mean, ||mu||."
        ...     return float(s.mean.norm())
    """

    def register(formula: Callable[..., float]) -> Callable[..., float]:
        if name in REGISTERED:
            raise ValueError(f"Expected the name of a statistic to be new, but {name!r} is registered already")
        said = meaning or (inspect.getdoc(formula) or "").partition("\n")[0]
        if not said:
            raise ValueError(f"Expected statistic {name!r} to have a docstring, whose first line is its meaning")
        compute = _composed(formula, of) if of else formula
        noise = _composed(formula, null_of) if null_of else null
        REGISTERED[name] = Statistic(name, unit, said, source, compute, noise, alias, conditional)
        return formula

    return register


def _composed(formula: Callable[..., float], part: Callable[[Snapshot], Any]) -> Callable[[Snapshot], float]:
    return lambda snapshot: formula(part(snapshot))


ELEMENTARY = "elementary"


def largest(number: int, noun: str) -> str:
    """Returns ``largest dimension``, ``3 largest dimensions``.

    Example:
        >>> largest(1, "dimension"), largest(3, "dimension")
        ('largest dimension', '3 largest dimensions')
    """
    return f"largest {noun}" if number == 1 else f"{number} largest {noun}s"
