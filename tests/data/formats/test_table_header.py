"""Columns of a header by name and by number."""

from __future__ import annotations

import pytest

from clsnorm.data.formats.table_header import cleaned, is_blank, names_in, place_of, places_of
from clsnorm.errors import InputError

HEADER = ["\ufeffid", " text", "label", "x", "x", "", "7", ""]


@pytest.mark.parametrize(
    ("column", "place"), [("id", 0), ("text", 1), (" text", 1), ("label", 2), (0, 0), (3, 3), (5, 5), ("7", 6), (6, 6)]
)
def test_a_column_is_found(column: str | int, place: int) -> None:
    assert place_of(column, HEADER, "a") == place


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("x", "one column 'x' in a, but columns 3 and 4, counted from 0, have this name. Give the number"),
        ("labl", "column 'labl' in a, but it has: id, text, label, x, x, '', 7, ''. Did you mean 'label'"),
        (7, "the number of a column of a, but 7 is also the name of column 6"),
        (9, "Expected column 9 in a, but it has: id, text"),
        (-1, "Expected column -1 in a"),
    ],
)
def test_no_column_or_several_are_refused(column: str | int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        place_of(column, HEADER, "a")


def test_numbers_without_a_header() -> None:
    assert places_of([1, 0], 2, "a") == {1: 1, 0: 0}
    with pytest.raises(InputError, match="Expected column 2 in a, but it has: 0, 1"):
        places_of([2], 2, "a")
    with pytest.raises(InputError, match="different columns of a, but 'text' and 1 are the same"):
        places_of(["text", 1], HEADER, "a")


def test_names_and_blank_rows() -> None:
    assert names_in(HEADER) == ["id", "text", "label", "x", "x", "", "7"]
    assert cleaned(" \ufeff text\t") == "text"
    assert [is_blank(row) for row in ([], ["", ""], [" "], [" ", ""], ["a", ""])] == [True, True, True, False, False]
