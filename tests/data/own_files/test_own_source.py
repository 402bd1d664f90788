"""What the user says about the format is checked, and what is inferred is shown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clsnorm.data.own_files.own_source import Given
from clsnorm.errors import InputError

Build = Callable[..., Any]
BODY = [f"river market remark {at},{'pos' if at % 2 else 'neg'},{at}" for at in range(40)]


def given(**options: Any) -> Given:
    names = ("encoding", "delimiter", "quoting", "escape", "header", "skip_lines", "comment", "text", "label")
    return Given(**(dict.fromkeys(names) | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip_lines": -1}, "`data.skip_lines` to be null or a whole number of at least 0, but got -1"),
        ({"skip_lines": True}, "`data.skip_lines` to be null or a whole number"),
        ({"comment": ""}, "data.comment to be null or the start of a line, but got ''"),
        ({"comment": 5}, "data.comment to be null or the start of a line, but got 5"),
        ({"escape": "no"}, "`data.escape` to be true, false or null, but got 'no'"),
        ({"header": False, "text": [["a", "b"]]}, "numbers from 0 with data.header=false, but got a, b"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        given(**options)


def test_the_first_rows_are_logged_as_they_are_read(
    user_files: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["sep=,", "Survey,,", "text,label,id", *BODY]))
    with caplog.at_level(logging.INFO, "clsnorm"):
        data = user_files(path, text=[["text", "id"]], label=1)
    shown = [record.message for record in caplog.records][-4:]
    assert shown[0] == "first rows of a.csv as they are read (lines 1-2 skipped, then a header):"
    assert shown[1] == "  line 4: text 'river market remark 0 0', label 'neg'"
    assert len(shown) == 4
    assert f"data.skip_lines=2, inferred from the beginning of {path}" in caplog.text
    (table,) = data.sources["files"].read(Path(), "train")
    assert (table.texts[0][0], table.labels[0], len(table.labels)) == ("river market remark 0 0", "neg", 40)


@pytest.mark.parametrize(
    ("text", "label"), [("text", "label"), (0, "label"), ("text", 1), (0, 1), (None, 1), (0, None), (None, None)]
)
@pytest.mark.parametrize("head", [["text,label,id"], ["# a, b, c", " text , label,id"], ["0,1,2"]])
def test_columns_by_name_number_or_inferred_are_the_same(
    user_files: Build, tmp_path: Path, text: Any, label: Any, head: list[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join([*head, *BODY]))
    if head[-1] != "text,label,id":
        text, label = (None if text is None else 0), (None if label is None else 1)
    data = user_files(path, text=text, label=label)
    (table,) = data.sources["files"].read(Path(), "train")
    assert list(zip(*table.texts, table.labels, strict=True)) == [tuple(line.split(",")[:2]) for line in BODY]


def test_one_column_for_two_uses_is_refused(user_files: Build, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["text,label,id", *BODY]))
    with pytest.raises(InputError, match="different columns"):
        user_files(path, text="text", label=0)


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_lines_are_skipped_only_in_tables_of_cells(user_files: Build, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=r"data.skip_lines=null for .* files"):
        user_files(tmp_path / name, skip_lines=1)
