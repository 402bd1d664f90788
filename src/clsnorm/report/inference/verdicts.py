"""The four answers to "does this normalizer help?", by rule."""

from __future__ import annotations

import math
from enum import StrEnum

ALPHA = 0.05


class Verdict(StrEnum):
    """What a sweep says about an arm against the baseline."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent within the margin"
    UNDECIDED = "undecided"


def verdict(gain: float, difference_p: float, equivalence_p: float, *, alpha: float = ALPHA) -> Verdict:
    """Returns the verdict from p values that are adjusted for the family.

    A difference that is shown to be smaller than the margin is "equivalent" even if it is also shown not to be 0.

    Args:
        gain: Mean difference, positive if the arm scores better.
        difference_p: Of "no difference".
        equivalence_p: Of "the margin or more".
        alpha: Level of the family.
    """
    if not math.isnan(equivalence_p) and equivalence_p <= alpha:
        return Verdict.EQUIVALENT
    if math.isnan(difference_p) or difference_p > alpha or gain == 0:
        return Verdict.UNDECIDED
    return Verdict.BETTER if gain > 0 else Verdict.WORSE
