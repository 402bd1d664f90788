"""The likelihood of a header: one odd value does not decide, several do."""

from __future__ import annotations

import numpy as np
import pytest

from clsnorm.data.own_files.header_odds import SURE, header_odds

WORDS = "river market stone violin cloud garden window copper planet engine".split()  # noqa: SIM905


def texts(rows: int, *, short: float = 0.0) -> list[str]:
    """Texts of four to seven words, and a share of single words."""
    draw = np.random.default_rng(0)
    lengths = np.where(draw.random(rows) < short, 1, draw.integers(4, 8, rows))
    return [" ".join(draw.choice(WORDS, length)) for length in lengths]


def table(rows: int, *columns: list[str]) -> list[list[str]]:
    return [[column[at % len(column)] for column in columns] for at in range(rows)]


@pytest.mark.parametrize("rows", [24, 60, 1000])
@pytest.mark.parametrize(
    ("first", "columns"),
    [
        (["text", "label"], [texts(1000), ["a", "b"]]),
        (["utterance", "kind"], [texts(1000), ["a", "b"]]),
        (["phrase_text", "intention"], [texts(1000), list("abcdefgh")]),
        (["v1", "v2"], [["ham", "spam"], texts(1000, short=0.02)]),
        (["remark", "stars"], [texts(1000), ["1", "2", "5"]]),
        (["0", "1"], [texts(1000), ["0", "1"]]),
        (["", "index", "0", "1"], [list("123"), list("123"), [*texts(999), "3"], ["0", "1"]]),
        (["", "0", "1"], [list(map(str, range(1000))), texts(1000), ["0", "1"]]),
        (["day", "remark", "verdict"], [[f"2024-01-{at % 30}" for at in range(1000)], texts(1000), ["a", "b"]]),
        (["2019", "2020", "text", "label"], [["1", "2"], ["3", "4"], texts(1000), ["a", "b"]]),
    ],
)
def test_names_above_values_are_a_header(rows: int, first: list[str], columns: list[list[str]]) -> None:
    assert header_odds(first, table(rows, *columns)) >= SURE


@pytest.mark.parametrize("rows", [24, 60, 1000])
@pytest.mark.parametrize(
    ("first", "columns"),
    [
        (["a text of seven words or so", "a"], [texts(1000), ["a", "b"]]),
        (["Great", "a"], [texts(1000), ["a", "b"]]),
        (["a rare text is here", "3.7"], [texts(1000), ["1.5", "2.25"]]),
        (["7000", "a text of some words", "rare"], [list(map(str, range(1000))), texts(1000), ["a", "b"]]),
        (["2024-07-05", "a text of some words", "rare"], [[f"2023-01-{at}" for at in range(1000)], texts(1000), ["a"]]),
    ],
)
def test_a_row_like_the_others_is_none(rows: int, first: list[str], columns: list[list[str]]) -> None:
    assert header_odds(first, table(rows, *columns)) <= -SURE


@pytest.mark.parametrize("rows", [24, 60, 1000])
@pytest.mark.parametrize(
    ("first", "columns"),
    [
        (["the only one of its kind", "rare"], [texts(1000), ["a", "b", "c"]]),
        (["is this the only one?", "rare"], [texts(1000), ["a", "b", "c"]]),
        (["a fine film it is", "unknown"], [texts(1000), ["1", "2", "5"]]),
        (["a fine film it is", "five"], [texts(1000), ["1", "2", "5"]]),
        (["violin", "rare"], [WORDS, ["a", "b", "c"]]),
        (["text", "a"], [texts(1000), ["a", "b"]]),
        (["1", "0"], [["1", "2", "3"], texts(1000, short=0.1)]),
        (["1", "0"], [["-1", "1"], [*texts(8), "0"]]),
        (["1", "", "day", "0"], [["a", "b"], [""], ["2024-01-01", "2024-01-02"], [*texts(8), "42"]]),
        (["viola", "rare"], [WORDS, ["a", "b", "c"]]),
    ],
)
def test_one_value_that_occurs_once_decides_nothing(rows: int, first: list[str], columns: list[list[str]]) -> None:
    assert header_odds(first, table(rows, *columns)) < SURE


@pytest.mark.parametrize("first", [["1", "0"], ["1", "day", "0"]])
def test_column_numbers_in_another_order_are_no_sure_row(first: list[str]) -> None:
    """A text may be ``0``, and its class ``1``; or someone has sorted the columns that pandas has numbered."""
    columns = [["1", "2"], ["2024-01-01", "2024-01-02", "2024-02-01"], [*texts(8), "0", "42"]]
    below = table(40, *(columns if len(first) == 3 else [columns[0], columns[2]]))
    assert -SURE < header_odds(first, below) < SURE
    assert header_odds(["2", *first[1:]], below) <= -SURE  # these are no numbers of columns


def test_a_word_above_one_number_does_not_decide() -> None:
    first, below = ["a very bad film", "NA", "ok"], [["a made bad stone", "a", ""], ["good by all means", "b", "1.5"]]
    assert header_odds(first, below) < SURE
