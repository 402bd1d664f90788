"""The grouping of numbers into panels and sections."""

from __future__ import annotations

from clsnorm.dashboard import SECTIONS, Panel, Section, sections_for


def test_numbers_without_a_panel_get_one() -> None:
    names = ["cls/select/h/tails/kurtosis", "cls/noise/tails/kurtosis", "cls/select/layer01/isoscore", "report/loss"]
    names += ["cls/start/layer01/isoscore", "grad/parameters/layer01/norm", "grad/parameters/layer02/norm"]
    *_, rest = sections_for(names)
    assert {panel.title: panel.keys for panel in rest.panels} == {
        "cls/select/*/isoscore": ("cls/select/layer01/isoscore", "cls/start/layer01/isoscore"),
        "cls/select/*/tails/kurtosis": ("cls/select/h/tails/kurtosis", "cls/noise/tails/kurtosis"),
        "grad/parameters/*/norm": ("grad/parameters/layer01/norm", "grad/parameters/layer02/norm"),
    }


def test_numbers_with_a_panel_add_no_section() -> None:
    names = ["train/loss", "select/loss"]
    assert sections_for(names) == SECTIONS
    shown = [name for section in SECTIONS for panel in section.panels for name in panel.among(names)]
    assert shown == names


def test_a_number_that_no_section_shows_gets_one() -> None:
    *known, rest = sections_for(["train/loss", "my/number"])
    assert tuple(known) == SECTIONS
    assert rest == Section("Other numbers", (Panel("my/number", ("my/number",), "value"),))


def test_a_panel_selects_names_in_their_order() -> None:
    panel = Panel("Loss", ("*/loss",), "nats")
    assert panel.heading == "Loss (nats)"
    assert panel.among(["select/loss", "lr", "report/loss"]) == ["select/loss", "report/loss"]
