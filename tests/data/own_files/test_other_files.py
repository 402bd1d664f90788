"""Files that begin differently from the first one of train are refused, not misread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clsnorm.data.own_files import other_files
from clsnorm.errors import InputError

Build = Callable[..., Any]
BODY = [f"river market remark {at},{at % 2}" for at in range(40)]
STARTS = {
    "none": [],
    "names": ["text,label"],
    "numbers": ["0,1"],
    "sep": ["sep=,", "text,label"],
    "title": ["Survey export,", "text,label"],
    "turned": ["label,text"],
}


def write(folder: Path, name: str, start: str) -> Path:
    path = folder / name
    body = [",".join(reversed(line.split(","))) for line in BODY] if start == "turned" else BODY
    path.write_text("\n".join([*STARTS[start], *body]))
    return path


def outcome(build: Build, train: Any, report: Path | None, split: str) -> list[tuple[str, ...]] | str:
    """Returns the rows of a split, or the refusal."""
    try:
        source = build(train, report, text=None, label=None).sources["files"]
        tables = list(source.read(Path(), split))
    except InputError as error:
        return str(error)
    return [row for table in tables for row in zip(*table.texts, table.labels, strict=True)]


@pytest.mark.parametrize("first", STARTS)
@pytest.mark.parametrize("second", STARTS)
@pytest.mark.parametrize("split", ["train", "report"])
def test_files_are_read_right_or_refused(
    user_files: Build, tmp_path: Path, first: str, second: str, split: str
) -> None:
    one, two = write(tmp_path, "a.csv", first), write(tmp_path, "b.csv", second)
    files = ([str(one), str(two)], None) if split == "train" else (str(one), two)
    found = outcome(user_files, *files, split)
    right = [tuple(line.rsplit(",", 1)) for line in BODY] * (2 if split == "train" else 1)
    assert found == right or (first != second and "b.csv" in found)


def test_columns_given_by_number_must_have_one_name(tmp_path: Path) -> None:
    from clsnorm.data.formats.delimited import Delimited
    from clsnorm.data.own_files.inference import CellOptions

    first, second = write(tmp_path, "a.csv", "names"), write(tmp_path, "b.csv", "turned")
    reader = Delimited(delimiter=",", quoting=True)
    other_files.require_same_start([first], first, reader, [0, 1], CellOptions())
    with pytest.raises(InputError, match=r"a.csv has a header.* column 1 'label', and \S*b.csv has .*column 1 'text'"):
        other_files.require_same_start([second], first, reader, [1], CellOptions())
