"""How labels are spelled, and when two mean the same."""

from __future__ import annotations

import datetime
import itertools
import unicodedata
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsnorm.config.spelling import fold, number, place, same, spell


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (1, "1"), (1.0, "1"), (" 1 ", "1"), (-0.0, "0"), (1e3, "1000"), (Decimal("1.00"), "1"),
        (Decimal("2.50"), "2.5"), (Decimal("1E+3"), "1000"), (0.5, "0.5"), ("1.0", "1.0"),
        (True, "true"), (None, ""), (float("nan"), ""),
        (np.float32(2), "2"), (np.float16(0.5), "0.5"), (np.int64(7), "7"), (2**63, str(2**63)), (float("inf"), "inf"),
        (datetime.date(2024, 1, 2), "2024-01-02"), ("TRUE", "TRUE"), ("\u3000a\xa0", "a"),
    ],
)  # fmt: skip
def test_spelling(label: Any, name: str) -> None:
    assert spell(label) == name


SAME: list[tuple[Any, Any]] = [
    (1.0, "1"), (1.0, "1.0"), (1, "1.0"), (1, "01"), (1e3, "1000"), (1000, "1e3"), (-0.0, "0"), (0.1, "0.10"),
    (True, "TRUE"), (True, "True"), (True, "yes"), (True, "t"), (True, 1), (True, "1"), (True, 1.0), (False, "No"),
    (False, "off"), (False, 0), (None, "null"), (None, "NULL"), (None, "None"), (float("nan"), "NaN"),
    (float("inf"), "inf"), (float("-inf"), "-Inf"), ("a", " a "), (Decimal("1.0"), "1"), (Decimal("1.0"), 1),
]  # fmt: skip
DIFFERENT: list[tuple[Any, Any]] = [
    ("1", "1.0"), ("a", "A"), ("true", "True"), ("no", "false"), (True, False), (True, "false"), (True, "2"), (1, "2"),
    (10, "1_0"), (1, "yes"), (None, "nan"), (0, "off"), (None, False), (0, "null"), ("", ""), (float("inf"), "-inf"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_value_means_all_its_spellings(one: Any, other: Any) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_texts_and_values_are_different(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same(other, one)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**12), 10**12))
def test_a_number_is_the_same_as_each_text_of_it(value: float) -> None:
    assert same(value, repr(value))
    assert same(value, spell(value))
    assert number(repr(value)) == value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pos", "pos"), ("very  good", "very good"), ("a b", "ab"),
        ("caf\u00e9", "cafe\u0301"), ("a\u200bb", "ab"), ("１", "1"),
        ("straße", "STRASSE"), ("1", "1.0"), ("01", "1"), ("\ufeffpos", "pos"),
    ],
)  # fmt: skip
def test_names_that_look_the_same_have_one_fold(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"), [("a_b", "ab"), ("1 0", "10"), ("e", "é"), ("-", "--"), ("nan", "inf"), ("1", "2"), ("", "-")]
)
def test_other_names_have_different_folds(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text())
def test_the_form_of_unicode_and_spaces_around_a_name_do_not_matter(name: str) -> None:
    for form in ("NFC", "NFD"):
        assert fold(f"\u3000{unicodedata.normalize(form, name)} ") == fold(name)


def test_a_label_has_a_place_among_the_stated_ones() -> None:
    assert [place(label, ["no", "yes"]) for label in (True, "yes", "Yes", 0)] == [1, 1, None, None]
    for order in itertools.permutations([1.5, "1", False]):
        assert [order[place(label, order) or 0] for label in (1.5, 1, "no")] == [1.5, "1", False]
