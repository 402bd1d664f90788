"""Which stated class each label of a file means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsnorm.config.spelling import same, spell
from clsnorm.data.rows.matching import codes, match, require_one_word, twice
from clsnorm.errors import InputError


def matched(labels: list[Any], stated: list[Any], *, merged: bool = False) -> dict[str, int]:
    names = [label if isinstance(label, str) else "" for label in stated]
    return match({spell(label): label for label in labels}, stated, names, merged=merged)


@pytest.mark.parametrize(
    ("labels", "stated", "ids"),
    [
        ([1.0, 0.0], [1.0, 0.0], {"1": 0, "0": 1}),
        (["1.0", "0.0"], [1.0, 0.0], {"1.0": 0, "0.0": 1}),
        ([1.0, 0.0], ["1.0", "0.0"], {"1": 0, "0": 1}),
        (["1", "1.0"], ["1.0", "1"], {"1": 1, "1.0": 0}),  # what is spelled alike comes first
        (["no", "yes"], [False, True], {"no": 0, "yes": 1}),
        ([True, False], [True, False], {"true": 0, "false": 1}),
        ([True, False], ["yes", "no"], {"true": 0, "false": 1}),
        (["0", "1"], [True, False], {"1": 0, "0": 1}),
        (["null", "a"], ["a", None], {"a": 0, "null": 1}),
        (["Pos", "pos"], ["pos", "neg"], {"pos": 0}),
        ([True], ["yes", "on"], {}),  # it could be either
    ],
)
def test_labels_mean_the_stated_ones(labels: list[Any], stated: list[Any], ids: dict[str, int]) -> None:
    assert matched(labels, stated) == ids


def test_labels_that_look_the_same_are_merged_on_request() -> None:
    assert matched(["Pos", "NEG "], ["pos", "neg"], merged=True) == {"Pos": 0, "NEG": 1}


LABELS = [False, True, 0, 1, 0.0, 1.0, "0", "1", "1.0", "no", "yes", "FALSE", "True", None, "null", float("nan"), "a"]


@given(st.lists(st.sampled_from(LABELS), min_size=2, max_size=4), st.lists(st.sampled_from(LABELS), min_size=1))
def test_no_label_gets_a_class_that_means_something_else(stated: list[Any], labels: list[Any]) -> None:
    if twice(stated):
        return
    ids = matched(labels, stated)
    for label in labels:
        if (name := spell(label)) in ids:
            assert same(stated[ids[name]], label) or name == stated[ids[name]]


@pytest.mark.parametrize("stated", [["neg", "pos"], ["b", "a"]])
def test_codes_are_ids_of_names(stated: list[str]) -> None:
    assert codes({"1": "1", "0": 0}, stated) == {"1": 1, "0": 0}
    assert codes({"1.0": "1.0", "0.0": "0.0"}, stated) == {"1.0": 1, "0.0": 0}
    assert codes({"1": 1, "2": 2}, stated) == {}
    assert codes({"0": 0, "x": "x"}, stated) == {}


@pytest.mark.parametrize("stated", [[1.0, 0.0], ["1.0", "0.0"], [True, False], ["10", "20"], [None, "a"]])
def test_codes_are_not_understood_where_a_class_is_a_value(stated: list[Any]) -> None:
    assert codes({"0": 0, "1": 1}, stated) == {}


@pytest.mark.parametrize(
    ("stated", "pair"),
    [(["a", "a"], True), ([1, 1.0], True), ([1, "1.0"], True), ([True, "yes"], True), ([True, 1], True),
     (["yes", "true"], False), (["1", "1.0"], False), ([False, True], False), (["a", "A"], False)],
)  # fmt: skip
def test_stated_labels_must_differ(stated: list[Any], pair: bool) -> None:
    assert bool(twice(stated)) is pair
    assert bool(twice(stated[::-1])) is pair


def test_stated_labels_must_look_different_if_these_are_merged() -> None:
    assert twice(["a", "A"], merged=True) == ("a", "A")


def test_a_value_means_one_word() -> None:
    require_one_word({"TRUE": 1, "True": 1, "no": 0}, [False, True], ["", ""])
    with pytest.raises(InputError, match=r"False could mean 'no', 'off'\. Quote the labels"):
        require_one_word({"no": 0, "off": 0, "yes": 1}, [False, True], ["", ""])
    with pytest.raises(InputError, match="True could mean 'yes', 'true'"):
        require_one_word({"no": 0, "true": 1}, [False, True], ["no", "yes"])  # of another split
    require_one_word({"no": 0, "off": 1}, ["no", "off"], ["no", "off"])
