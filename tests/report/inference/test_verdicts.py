from __future__ import annotations

import math

import pytest

from clsnorm.report.inference.verdicts import Verdict, verdict


@pytest.mark.parametrize(
    ("gain", "difference_p", "equivalence_p", "expected"),
    [
        (1.0, 0.01, 0.9, Verdict.BETTER),
        (-1.0, 0.01, 0.9, Verdict.WORSE),
        (0.1, 0.6, 0.01, Verdict.EQUIVALENT),
        (0.1, 0.01, 0.01, Verdict.EQUIVALENT),
        (1.0, 0.2, 0.9, Verdict.UNDECIDED),
        (1.0, math.nan, math.nan, Verdict.UNDECIDED),
    ],
)
def test_the_rule(gain: float, difference_p: float, equivalence_p: float, expected: Verdict) -> None:
    assert verdict(gain, difference_p, equivalence_p) is expected
