"""How pages show nulls."""

from __future__ import annotations

import math

import pytest

from clsnorm.dashboard.null_text import chance_text, null_text, verdict

ENDS = {"null": 0.5, "null_low": 0.25, "null_high": 0.75}


@pytest.mark.parametrize(("value", "said"), [(0.1, "below"), (0.25, "within"), (0.9, "above"), (None, "")])
def test_a_number_is_compared_with_the_interval(value: float | None, said: str) -> None:
    assert verdict({"value": value, **ENDS}) == said
    assert null_text({"value": value, **ENDS}) == "0.5 (0.25 to 0.75)"


def test_a_null_without_an_interval_says_nothing() -> None:
    assert verdict({"value": 0.9, "null": 0.5}) == verdict({"value": math.nan, **ENDS}) == ""
    assert null_text({"value": 0.9, "null": 0.5}) == "0.5"
    assert null_text({"value": 0.9, "null": None}) == "–"
    assert verdict({"value": 0.9, "null": None, "null_low": None, "null_high": None}) == ""


def test_probabilities_of_an_analysis_of_an_earlier_version_are_left_out() -> None:
    assert chance_text({"value": 0.9, "null": 0.5}) == ""
    assert chance_text({"p_below": 0.5, "p_above": 0.0025}) == "P(≤) 0.5, P(≥) 0.0025"
