"""The grouping of numbers into panels and sections."""

from __future__ import annotations

from clsnorm.dashboard import sections_for


def test_numbers_without_a_panel_get_one() -> None:
    names = ["cls/select/h/tails/kurtosis", "cls/noise/tails/kurtosis", "cls/select/layer01/isoscore", "report/loss"]
    names += ["cls/start/layer01/isoscore", "grad/parameters/layer01/norm", "grad/parameters/layer02/norm"]
    *_, rest = sections_for(names)
    assert {panel.title: panel.keys for panel in rest.panels} == {
        "cls/select/*/isoscore": ("cls/select/layer01/isoscore", "cls/start/layer01/isoscore"),
        "cls/select/*/tails/kurtosis": ("cls/select/h/tails/kurtosis", "cls/noise/tails/kurtosis"),
        "grad/parameters/*/norm": ("grad/parameters/layer01/norm", "grad/parameters/layer02/norm"),
    }
