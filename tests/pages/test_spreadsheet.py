"""CSV files that spreadsheets read safely, and file names that stay in their folder."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsnorm.pages.spreadsheet import FORMULA, LONGEST, csv_text, file_name


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2), max_size=5))
def test_text_reads_back_and_none_is_a_formula(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_text(["a", "b"], rows), newline="")))
    assert len(read) == len(rows) + 1
    for before, after in zip(rows, read[1:], strict=True):
        for cell, found in zip(before, after, strict=True):
            assert not found.startswith(FORMULA)
            assert found.removeprefix("'") == cell.replace("\r", "\n").removeprefix("'")


@given(st.floats(allow_nan=False))
def test_numbers_read_back_as_they_were(value: float) -> None:
    assert float(csv_text(["a"], [[value]]).splitlines()[1]) == value


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1+1", "\t=1", "＝1"])
def test_formulas_are_text(text: str) -> None:
    assert next(csv.reader([csv_text([text], []).rstrip("\n")])) == [f"'{text}"]


@given(st.text(), st.text())
def test_a_file_name_has_no_folder_and_differs_from_others(text: str, other: str) -> None:
    name = file_name(text)
    assert Path(name).name == name
    assert not name.startswith(".")
    assert 0 < len(name) <= LONGEST + 9
    assert (file_name(other) == name) == (other == text)


@pytest.mark.parametrize("text", ["bert_base", "any-tiny.v2", "a+b=c", "ü"])
def test_ordinary_names_stay(text: str) -> None:
    assert file_name(text) == text
