"""`Texts`, near forms and hashes of texts."""

from __future__ import annotations

import pytest

from clsnorm.data import Table
from clsnorm.data.rows.texts import Texts, hashes, near_form
from clsnorm.errors import InputError


def table(*texts: list[object]) -> Table:
    lines = list(range(1, len(texts[0]) + 1))
    return Table({}, lines, "a.tsv").of_texts(texts, [0] * len(lines))


def test_rows_without_an_empty_text() -> None:
    texts = Texts(max_empty=0.5)
    assert texts.full(table(["a b", " ", "c"], ["d", "e", None])) == [0]
    assert texts.full(table(["f"], ["g"])) == [0]
    texts.finish()  # two of four rows


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([["a", 5]], "Expected text in the text column in a.tsv, but found line 2: 5"),
        ([["", None]], "all 2 rows are empty"),
        ([["a", "", ""]], "at most 0.5 of the rows of a.tsv to have an empty text, but 2 of 3 have"),
        ([["a", "b"], ["1", "2.5"]], "a text column holds only numbers, such as '1'"),
    ],
)
def test_faulty_texts_are_refused(texts: list[list[object]], message: str) -> None:
    found = Texts(max_empty=0.5)
    found.full(table(*texts))
    with pytest.raises(InputError, match=message):
        found.finish()


def test_near_forms_drop_case_spaces_and_punctuation() -> None:
    assert near_form("It's  GOOD .") == near_form("its good!") == "its good"
    assert near_form("ﬁne，很好") == "fine很好"
    assert near_form("नहीं।") == "नहीं"  # vowel signs are no punctuation
    assert near_form("good 😀") != near_form("good 😡")
    assert near_form("!?") == "!?" != near_form("...")


def test_hashes_of_pairs_depend_on_the_boundary_between_the_texts() -> None:
    both = hashes([["ab", "a", "ab"], ["c", "bc", "c"]])
    assert both[0] == both[2] != both[1]
