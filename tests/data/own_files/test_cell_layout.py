"""The guess of delimiter and quoting: escapes, spaces after delimiters, quotes that are not closed."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from clsnorm.data.formats.delimited import Delimited
from clsnorm.data.own_files.cell_layout import UNCLOSED, UNEVEN, Guess, guess_cells

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


def test_a_backslash_before_a_delimiter_alone_is_no_escape() -> None:
    found = guess('text;label\n"so ""what""";a\nthe end \\;more;b\n', marks=";")
    assert (found.reader.escape, len(found.rows[2][1])) == (False, 3)


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


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('label,text\na,"good, or not"\nb,well\na,"the fi', ".csv"),
        ('a,good\nb,"so ""what"" then"\na,well\nb,"the "" fi', ".csv"),
        ('a;good\nb;"so \\""";0\na;"the fi', ".csv"),
        ('a\tgood\nb\t"so ""what"" then"\na\t"the fi', ".tsv"),
        ('a\tgood\nb\t"so \\"what\\" then"\na\t"the fi', ".tsv"),
        ('a\tgood\nb\t"two\rlines"\na\t"the fi', ".txt"),
    ],
)
def test_a_file_that_ends_within_quotes_is_a_fault(text: str, kind: str) -> None:
    assert UNCLOSED in guess(text, kind, marks=";" if ";" in text else ",\t").fault
    assert guess(text.rpartition("\n")[0], kind).reader.quoting
    assert guess(text.rpartition("\n")[0], kind).fault == ""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('a,good\nb,"he said no\na,well\n', ".csv"),
        ('a\tgood\nb\t"so it is"\na\t"the film\n', ".tsv"),
        ('a\t"good\tso"\nb\tbad\tno\na\twell\tyes\n', ".tsv"),
    ],
)
def test_stray_quotes_are_no_fault(text: str, kind: str) -> None:
    found = guess(text, kind)
    assert (found.fault, found.reader.quoting) == ("", False)


@pytest.mark.parametrize(
    "lines",
    [
        ["label,text", 'a,"very', 'good",more', "b,film"],  # a line break in quotes, and a cell too many
        ["y,q,id", "a,well,0", 'b,", or not"', "a,good,3"],  # a delimiter in quotes, and a cell too few
    ],
)
def test_a_csv_that_only_fits_without_its_quotes_is_a_fault(lines: list[str]) -> None:
    assert guess("\n".join(lines)).fault == UNEVEN
    assert guess("\n".join(lines), quoting=False).fault == ""
    assert guess("\n".join(lines), quoting=True).fault == ""


def test_quotes_around_a_carriage_return_enclose_a_cell() -> None:
    found = guess('a\tgood\r\nb\t"two \r lines"\r\na\t"bad"\r\n', ".tsv", marks="\t")
    assert cells(found) == [("a", "good"), ("b", "two \r lines"), ("a", "bad")]
