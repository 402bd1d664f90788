"""`PaperClaim`: a claim of the paper, what these runs say about it, and the numbers that this rests on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from clsnorm.report.sweeps.run_row import RunRow


class Support(StrEnum):
    """What runs say about a claim. `UNKNOWN` is no evidence against it."""

    SUPPORTED = "supported"
    MIXED = "mixed"
    REFUTED = "not supported"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Evidence:
    """One number that a claim rests on.

    Attributes:
        task: Data set; empty over all of them.
        arm: Name.
        quantity: What the number is.
        value: The number.
        ends: Its 95 % interval; None if it has none.
        noise: Value for isotropic noise, and the ends of the interval that holds 95 % of it; None if it has none.
        runs: Where it comes from.
    """

    task: str
    arm: str
    quantity: str
    value: float
    ends: tuple[float, float] | None = None
    noise: tuple[float, float, float] | None = None
    runs: Sequence[RunRow] = field(default=(), repr=False)

    def line(self, number: int) -> dict[str, Any]:
        """Returns the values as a line of the table of evidence for claim ``number``."""
        low, high = self.ends or (None, None)
        noise, noise_low, noise_high = self.noise or (None, None, None)
        found = {"claim": number, "task": self.task, "arm": self.arm, "quantity": self.quantity, "value": self.value}
        return found | {"low": low, "high": high, "noise": noise, "noise_low": noise_low, "noise_high": noise_high}


@dataclass(frozen=True)
class PaperClaim:
    """A claim.

    Attributes:
        number: 1 to 3.
        claim: In the words of this project.
        support: By the rule.
        sentence: Why, with the decisive numbers.
        evidence: All numbers.
    """

    number: int
    claim: str
    support: Support
    sentence: str
    evidence: Sequence[Evidence]


def percent(share: float) -> str:
    """Returns a share as text.

    Example:
        >>> percent(0.0021), percent(0.71)
        ('0.21 %', '71 %')
    """
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def between(values: Iterable[float]) -> str:
    """Returns the least and the largest share, or the only one.

    Example:
        >>> between([0.5]), between([0.4, 0.71])
        ('50 %', '40 % to 71 %')
    """
    texts = [percent(value) for value in sorted(values)]
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"
