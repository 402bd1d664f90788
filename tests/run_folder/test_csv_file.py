"""CSV files that grow by a row at a time, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from clsnorm.errors import DamagedFileError
from clsnorm.run_folder.csv_file import CsvFile, csv_line, read_csv, sound_rows, write_csv
from clsnorm.run_folder.table_digest import TableDigest

ROWS = [{"step": "0", 'name, with "quotes"': "a,b"}, {"step": "1", 'name, with "quotes"': ""}]
COLUMNS = ["step", 'name, with "quotes"']


def read(path: Path) -> CsvFile:
    return read_csv(path, lambda row: "" if row["step"].isdigit() else "no number", first="step")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    assert read(path) == CsvFile()
    write_csv(path, COLUMNS, [ROWS[0], {"step": "1"}], TableDigest())
    found = read(path)
    assert (found.columns, found.rows, found.places, found.faults) == (COLUMNS, ROWS, [0, 1], [])
    with path.open("a", newline="") as file:
        file.write(csv_line([2, "two\nlines"]))
    assert read(path).rows[2] == {"step": "2", COLUMNS[1]: "two\nlines"}


def test_a_file_cut_anywhere_has_its_complete_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    lines = ["step,a\n", "10,0.5\n", "11,0.25\n", "12,\n"]
    for length in range(len("".join(lines)) + 1):
        path.write_text("".join(lines)[:length])
        found = read(path)
        whole = [line for end, line in enumerate(lines, 1) if len("".join(lines[:end])) <= length]
        assert found.faults == []
        assert [row["step"] for row in found.rows] == [line.split(",")[0] for line in whole[1:]]


@pytest.mark.parametrize("line", ["1", "x,2", ",", "\0\0\0\0,1", "\x80\x81", "", "1,2,3", '"1,2'])
def test_a_damaged_row_is_left_out_and_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"step,a\n0,0.5\n{line}\n2,0.25\n".encode("latin-1"))
    found = read(path)
    assert found.rows[0] == {"step": "0", "a": "0.5"}
    assert found.faults[0].startswith("line 3")
    assert line.startswith('"') or (found.places, len(found.rows)) == ([0, 2], 2)
    with pytest.raises(DamagedFileError, match=r"x\.csv is damaged: line 3.*Delete that line"):
        sound_rows(path, found)


@pytest.mark.parametrize("heading", ["a,step", "step,a,a", "\x80step,a", "{}", "0,0.5", "step\0,a"])
def test_a_damaged_heading_is_refused(tmp_path: Path, heading: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"{heading}\n0,0.5\n".encode("latin-1"))
    with pytest.raises(DamagedFileError, match=r"x\.csv is damaged: its first line is not a heading"):
        read(path)
