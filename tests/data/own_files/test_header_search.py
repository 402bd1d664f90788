"""Where the rows of a table begin, or a refusal that names the options to set."""

from __future__ import annotations

from typing import Any

import pytest

from clsnorm.data.own_files.header_search import RowStart, Search, regular_width
from clsnorm.errors import InputError

BODY = [f"river market remark {at},{'pos' if at % 2 else 'neg'}" for at in range(40)]
CODED = [f"river market remark {at},{at % 2}" for at in range(40)]
RARE = "the only one of its kind,rare"


def search(lines: list[str], *, skip_lines: int = 0, **options: Any) -> Search:
    rows = [(number, line.split(",")) for number, line in enumerate(lines, 1) if line and number > skip_lines]
    known = {"header": None, "names": (), "fixed": bool(skip_lines)} | options
    return Search(rows=rows, shown="a.csv", skip_lines=skip_lines, **known)


@pytest.mark.parametrize(
    ("above", "options", "expected"),
    [
        (["text,label"], {}, RowStart(0, header=True)),
        (["text,label", RARE], {}, RowStart(0, header=True)),
        (["text,label", "is it any good at all?,rare"], {}, RowStart(0, header=True)),
        (["# c, d", "# e", "utt,kind"], {}, RowStart(2, header=True)),
        (["", "text,label"], {}, RowStart(0, header=True)),
        (["# made by tool, 2024", "text,label"], {}, RowStart(1, header=True)),
        (["Survey export 2024,", "answer,verdict"], {}, RowStart(1, header=True)),
        (["Survey export 2024", "of May", "", "answer,verdict"], {}, RowStart(3, header=True)),
        (["% a", "% b,c", "0,1"], {}, RowStart(2, header=True)),
        (["Survey export 2024,", "one,other"], {"names": ["one", "other"]}, RowStart(1, header=True)),
        (["Survey export 2024", "Which one?,Some words or more"], {"header": True}, RowStart(1, header=True)),
        ([RARE], {"header": True}, RowStart(0, header=True)),
        ([RARE], {"header": False}, RowStart(0, header=False)),
        (["one,other", RARE], {"skip_lines": 1, "header": False}, RowStart(1, header=False)),
        (["one,other", "text,label", "# c, d"], {"header": True}, RowStart(0, header=True)),
        (["a title, or not", RARE], {"skip_lines": 1, "header": True}, RowStart(1, header=True)),
        ([], {}, RowStart(0, header=False)),
        (["text,label"], {"labels": ["neg", "pos"]}, RowStart(0, header=True)),
        (["text,label"], {"labels": ["label"], "header": True}, RowStart(0, header=True)),
        (["text,label"], {"labels": ["label"], "names": ["text"]}, RowStart(0, header=True)),
        (["0,1"], {"labels": [0, 1]}, RowStart(0, header=True)),
        (["#joy and market remarks,pos"], {}, RowStart(0, header=False)),
    ],
)
def test_the_start(above: list[str], options: dict[str, Any], expected: RowStart) -> None:
    assert search([*above, *BODY], **options).start() == expected


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (
            [RARE, *BODY],
            {},
            r"whether line 1 of a.csv \('the only one.*'rare'\) is the header or a row. Set data.header=",
        ),
        (
            ["Export,2024", "answer,verdict", *BODY],
            {},
            "which line of a.csv is the header: line 1 .* or line 2 .*: 0 or 1",
        ),
        (["text,label", "What is said?,Which sort", *BODY], {}, "line 1 .* or line 2"),
        (
            ["text,label", *BODY[:9], "# c, d", *BODY],
            {},
            "whether line 11 of a.csv .*is a comment or a row. Set data.comm",
        ),
        (["one,other,more", *BODY], {"header": None}, "whether line 1 of a.csv .* is the header or a row"),
        (
            ["text,label,score", *BODY],
            {"header": None},
            "Line 1 of a.csv .* has 3 names of columns, but most rows have 2",
        ),
        ([*BODY[:9], "text,label", *BODY], {}, r"one header in a.csv, at its start, but line 10 \('text', 'label'\)"),
        (["text,label", *BODY, "Text,Label", *BODY], {}, "but line 42 .*Delete this line"),
        (
            ["a title", *BODY],
            {"header": False},
            r"Line 1 of a.csv \('a title'\) is not a row like the others.*skip_lines=1",
        ),
        (["a title,", *BODY], {"header": False}, "Line 1 of a.csv .*set data.skip_lines=1"),
        (["# a note, 2024", *CODED], {}, "Line 1 of a.csv .*set data.skip_lines=1"),
        (["# a note of some words,7", *CODED], {"header": False}, "Line 1 of a.csv .*set data.skip_lines=1"),
        (["# a note, 2024", *BODY], {"header": False}, "Line 1 of a.csv .*set data.skip_lines=1"),
        (
            ["# a note", "text,label", *BODY, "# a note,b"],
            {},
            r"whether line 43 of a.csv .*Set data.comment='#' to skip all lines that begin so, or data.skip_lines=1",
        ),
        (
            ["# made by a tool, 2024", "1,0", *[",".join(line.split(",")[::-1]) for line in CODED]],
            {},
            "whether line 1 of",
        ),
        (
            ["text,label", *BODY],
            {"labels": ["label", "pos", "neg"]},
            r"whether line 1 of a.csv \('text', 'label'\) is the",
        ),
        ([*BODY[:3], "one,other", *BODY], {"names": ["one", "other"]}, "line 1 .* or line 4 .*: 0 or 3"),
    ],
)
def test_what_is_not_sure_is_refused(lines: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        search(lines, **options).start()
    assert "\n" not in str(caught.value)


def test_after_another_file_an_unsure_line_is_a_row() -> None:
    assert search([RARE, *BODY], lenient=True).start() == RowStart(0, header=False)
    assert search(["text,label", *BODY], lenient=True).start() == RowStart(0, header=True)


def test_empty_columns_at_the_end_do_not_count() -> None:
    assert regular_width([["a", "b", "", ""]] * 3 + [["title"]]) == 2
    assert regular_width([]) == 0
