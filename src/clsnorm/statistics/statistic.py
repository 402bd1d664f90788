"""`Statistic`, and the decorator that adds one to the catalogue where its formula is defined."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.null_distribution import NullDistribution, Simulated

SPREADS: dict[tuple[str, int, int, int], NullDistribution] = {}  # by statistic and sizes, 8 kB each at most
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
        distribution: The null with its spread; None where it is not known. Costs more than ``null``; needs SciPy.
        formerly: Its name in earlier versions, which configurations may still use.
    """

    name: str
    unit: str
    meaning: str
    source: str
    compute: Callable[[Snapshot], float]
    null: Callable[[Snapshot], float] | None = None
    alias: str = ""
    conditional: bool = False
    distribution: Callable[[Snapshot], NullDistribution] | None = None
    formerly: str = ""

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

    def expected(self, snapshot: Snapshot) -> float | None:
        """Returns the mean of the null; None if it is not known, or if there are fewer than two rows."""
        return self.null(snapshot) if self.null is not None and snapshot.count >= 2 else None

    def spread(self, snapshot: Snapshot) -> NullDistribution | None:
        """Returns the distribution of the null; None if it is not known or not defined for these rows."""
        if self.distribution is None or snapshot.count < 3 or snapshot.not_finite or not self.applies_to(snapshot):
            return None
        if self.conditional or self.family == "classes":
            found = self.distribution(snapshot)
        else:  # the same for all snapshots of these sizes
            sizes = (self.name, snapshot.dim, snapshot.count, len(snapshot.sample.rows))
            if sizes not in SPREADS:
                SPREADS[sizes] = self.distribution(snapshot)
            found = SPREADS[sizes]
        return None if math.isnan(found.mean()) else found


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
    distribution: Callable[[Snapshot], NullDistribution] | None = None,
    drawn_of: Callable[[Snapshot], Any] | None = None,
    formerly: str = "",
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
        distribution: See `Statistic`.
        drawn_of: In place of ``distribution`` where the same formula gives it: draws of the part ``of`` over noise.
        formerly: See `Statistic`.

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
        spread = _drawn(formula, drawn_of) if drawn_of else distribution
        REGISTERED[name] = Statistic(name, unit, said, source, compute, noise, alias, conditional, spread, formerly)
        return formula

    return register


def _composed(formula: Callable[..., float], part: Callable[[Snapshot], Any]) -> Callable[[Snapshot], float]:
    return lambda snapshot: formula(part(snapshot))


def _drawn(formula: Callable[..., float], parts: Callable[[Snapshot], Any]) -> Callable[[Snapshot], NullDistribution]:
    return lambda snapshot: Simulated([formula(part) for part in parts(snapshot)])


ELEMENTARY = "elementary"


def largest(number: int, noun: str) -> str:
    """Returns ``largest dimension``, ``3 largest dimensions``.

    Example:
        >>> largest(1, "dimension"), largest(3, "dimension")
        ('largest dimension', '3 largest dimensions')
    """
    return f"largest {noun}" if number == 1 else f"{number} largest {noun}s"
