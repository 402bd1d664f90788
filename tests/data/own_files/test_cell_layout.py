"""The guess of delimiter and quoting: escapes, spaces after delimiters, quotes that are not closed."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from clsnorm.data.formats.delimited import Delimited
from clsnorm.data.own_files.cell_layout import Guess, guess_cells

ROWS = [(f'say "x{at}" and \\n, or "y"', "ab"[at % 2]) for at in range(20)]


def guess(text: str, kind: str = ".csv", **options: Any) -> Guess:
    known = {"marks": ",;\t|", "quoting": None, "escape": None, "whole": True} | options
    return guess_cells(text, kind, Delimited(header=False), **known)


def written(**dialect: Any) -> str:
    content = io.StringIO(newline="")
    csv.writer(content, **dialect).writerows(ROWS)
    return content.getvalue()


def cells(found: Guess) -> list[tuple[str, ...]]:
    return [tuple(row) for _, row in found.rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("kind", [".csv", ".tsv"])
def test_escaped_quotes_are_read_back(delimiter: str, kind: str) -> None:
    lines = (delimiter.join('"' + cell.replace('"', '\\"') + '"' for cell in row) for row in ROWS)
    found = guess("\n".join(lines), kind)
    assert cells(found) == ROWS
    assert (found.reader.escape, found.reader.quoting) == (True, True)


@pytest.mark.parametrize("options", [{}, {"quoting": True}, {"escape": True}, {"quoting": True, "escape": True}])
def test_doubled_quotes_need_no_escape_but_may_have_one(options: dict[str, Any]) -> None:
    found = guess(written(quoting=csv.QUOTE_ALL), **options)
    assert cells(found) == ROWS
    assert found.reader.escape == bool(options.get("escape"))


def test_spaces_after_delimiters_may_precede_quotes() -> None:
    found = guess('label, text\npos, "well, it is"\nneg, "well, no"\nneg,  "a ""b"", c"\n')
    assert cells(found) == [("label", "text"), ("pos", "well, it is"), ("neg", "well, no"), ("neg", 'a "b", c')]
    assert cells(guess('a, b\n"c", d\n')) == [("a", " b"), ("c", " d")]  # no quote after a space: nothing to skip


def test_cells_in_quotes_of_which_some_are_not_closed_are_a_fault() -> None:
    lines = [f'"text {at}","{"ab"[at % 2]}"' for at in range(20)]
    assert guess("\n".join(lines)).fault == ""
    lines[7] = '"text "7" of them","a"'
    assert guess("\n".join(lines)).fault.startswith("line 8: ")
    assert guess("\n".join(lines), quoting=False).fault == ""
    assert guess("\n".join(f'{line[1]}"{line}' for line in lines[:5]), quoting=None).fault == ""


def test_a_tsv_of_cells_that_are_all_in_quotes_has_quoting() -> None:
    found = guess('"text"\t"label"\n"good film"\t"a"\n"bad film"\t"b"\n', ".tsv", marks="\t")
    assert cells(found)[0] == ("text", "label")
    assert not guess('text\tlabel\n"good film"\ta\nbad film\tb\n', ".tsv", marks="\t").reader.quoting
