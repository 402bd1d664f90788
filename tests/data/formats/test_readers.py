"""Rows round trip through each reader, plain or compressed, from one file or several."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clsnorm.data import (
    Delimited,
    FilePerText,
    JsonLines,
    LabelledLines,
    ParquetFile,
    Reader,
    Table,
)
from clsnorm.data.formats import parquet
from clsnorm.data.formats import reader as base
from clsnorm.errors import InputError

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# All that a cell may contain: quotes, commas, line breaks, and characters that only Python treats as line ends.
TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('",\n\r\x85\u2028\t')), min_size=1)
LINE = TEXT.map(lambda s: "".join(c for c in s if c not in "\t\n\r")).filter(bool).filter(lambda s: s[0] != "\ufeff")
ROWS = st.lists(st.tuples(LINE, LINE), min_size=1, max_size=8)
ENDING = st.sampled_from(["", ".gz", ".zst"])


@pytest.fixture(autouse=True, params=[base.CHUNK, 3], ids=["one chunk", "many chunks"])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    for module in (base, parquet):
        monkeypatch.setattr(module, "CHUNK", request.param)
    return request.param


def write(path: Path, content: bytes) -> Path:
    if path.suffix in (".gz", ".zst"):
        with pa.output_stream(str(path), compression="detect") as stream:
            stream.write(content)
    else:
        path.write_bytes(content)
    return path


def chunks(reader: Reader, paths: Sequence[Path], columns: Sequence[str | int]) -> list[Table]:
    return list(reader.read(paths, columns, shown=[path.name for path in paths]))


def read(reader: Reader, path: Path | Sequence[Path], columns: Sequence[str | int]) -> list[tuple[Any, ...]]:
    rows = []
    for found in chunks(reader, [path] if isinstance(path, Path) else path, columns):
        assert 0 < len(found.lines) <= base.CHUNK
        rows += zip(*(found.columns[c] for c in columns), strict=True)
    return rows


@QUICK
@given(
    rows=ROWS,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    ending=ENDING,
)
def test_plain_round_trip(tmp_path: Path, rows: Any, encoding: str, end: str, last: bool, ending: str) -> None:
    text = end.join(["x\ty", *("\t".join(row) for row in rows)]) + (end if last else "")
    path = write(tmp_path / f"a.tsv{ending}", text.encode(encoding))
    reader = Delimited(encoding="utf-16" if encoding == "utf-16" else "utf-8")
    assert read(reader, path, ["y", "x"]) == [(y, x) for x, y in rows]
    headless = read(Delimited(header=False, encoding=reader.encoding), path, [0, 1])
    assert headless == [("x", "y"), *rows]


@QUICK
@given(
    rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    every=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    ending=ENDING,
)
def test_quoted_round_trip(
    tmp_path: Path, rows: Any, delimiter: str, every: bool, end: str, bom: bool, ending: str
) -> None:
    if not every:  # Python's writer encloses no lone carriage return unless it encloses all cells
        rows = [tuple(cell.replace("\r", " ") for cell in row) for row in rows]
    raw = tmp_path / "raw"
    with raw.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as file:
        quoting = csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
        csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows([("x", "y"), *rows])
    path = write(tmp_path / f"a.csv{ending}", raw.read_bytes())
    with raw.open(encoding="utf-8-sig", newline="") as file:
        expected = [tuple(row) for row in csv.reader(file, delimiter=delimiter, strict=True)][1:]
    assert not every or expected == rows
    assert read(Delimited(delimiter=delimiter, quoting=True), path, ["x", "y"]) == expected


@QUICK
@given(rows=st.lists(st.tuples(TEXT, st.one_of(TEXT, st.integers(), st.none())), min_size=1, max_size=8), ending=ENDING)
def test_json_round_trip(tmp_path: Path, rows: Any, ending: str) -> None:
    lines = [json.dumps({"x": x, "y": y, "z": 0}, ensure_ascii=len(rows) % 2 == 0) for x, y in rows]
    path = write(tmp_path / f"a.jsonl{ending}", "\n".join(lines).encode())
    assert read(JsonLines(), path, ["x", "y"]) == rows


@QUICK
@given(rows=st.lists(st.tuples(TEXT, st.floats(allow_nan=False)), min_size=1, max_size=8))
def test_parquet_round_trip(tmp_path: Path, rows: Any) -> None:
    table = pa.table({"x": [x for x, _ in rows], "y": [y for _, y in rows], "z": [0] * len(rows)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    assert read(ParquetFile(), tmp_path / "a.parquet", ["x", "y"]) == rows


@QUICK
@given(
    rows=st.lists(st.tuples(st.from_regex(r"[A-Z]{1,4}(:[a-z]{1,4})?", fullmatch=True), LINE), min_size=1),
    ending=ENDING,
)
def test_labelled_lines_round_trip(tmp_path: Path, rows: Any, ending: str) -> None:
    path = write(tmp_path / f"a.txt{ending}", "\n".join(f"{label} {text}" for label, text in rows).encode())
    assert read(LabelledLines(), path, ["label", "text"]) == rows
    coarse = read(LabelledLines(label_until=":"), path, ["label", "text"])
    assert coarse == [(label.split(":")[0], text) for label, text in rows]


@QUICK
@given(parts=st.lists(ROWS, min_size=2, max_size=4), ending=ENDING)
def test_several_files_are_read_in_order(tmp_path: Path, parts: Any, ending: str) -> None:
    paths = []
    for number, rows in enumerate(parts):
        text = "x\ty\n" + "".join(f"{x}\t{y}\n" for x, y in rows)
        paths.append(write(tmp_path / f"{number}.tsv{ending}", text.encode()))
    assert read(Delimited(), paths, ["x", "y"]) == [row for rows in parts for row in rows]
    found = chunks(Delimited(), paths, ["x"])
    assert [line for one in found for line in one.lines] == [n + 2 for rows in parts for n in range(len(rows))]
    assert list(dict.fromkeys(one.shown for one in found)) == [path.name for path in paths]


def test_a_compressed_file_of_several_members_is_read_whole(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"x\n1\n") + gzip.compress(b"2\n"))
    assert read(Delimited(), path, ["x"]) == [("1",), ("2",)]


def test_characters_that_python_takes_for_line_ends_are_preserved(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("x\ty\nwait\x85 what\u2028\t1\n".encode())
    assert read(Delimited(), path, ["x", "y"]) == [("wait\x85 what\u2028", "1")]


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('x,y\n"two\nlines",1\n\nz,2\n')
    found = chunks(Delimited(delimiter=",", quoting=True), [path], ["x"])
    assert [line for one in found for line in one.lines] == [2, 5]
    assert [one.drops for one in found if one.drops] == [{"empty line": 1}]


@QUICK
@given(empty=st.lists(st.booleans(), min_size=1, max_size=20).filter(lambda flags: not all(flags)))
def test_each_empty_line_is_counted_once(tmp_path: Path, empty: list[bool]) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("x\n" + "".join("\n" if flag else "1\n" for flag in empty))
    found = chunks(Delimited(), [path], ["x"])
    assert all(one.lines for one in found)
    assert sum(one.drops.get("empty line", 0) for one in found) == sum(empty)
    assert [line for one in found for line in one.lines] == [n + 2 for n, flag in enumerate(empty) if not flag]


@pytest.mark.parametrize(
    ("reader", "content", "columns", "message"),
    [
        (Delimited(), b"", ["x"], "in a, but the file is empty"),
        (Delimited(delimiter=",", quoting=True), b"\n\n", ["x"], "in a, but the file is empty"),
        (Delimited(), b"x\ty\n", ["x"], "it has none"),
        (Delimited(), b"x\ty\n1\t2\n", ["text"], "Expected column 'text' in a, but it has: x, y"),
        (Delimited(), b"x\tx\n1\t2\n", ["x"], "columns 0 and 1, counted from 0, have this"),
        (Delimited(), b"x\ty\n1\n1\t2\n1\t2\t3\n", ["x"], "line 2: 1 cells; line 4: 3 cells"),
        (Delimited(), b"x\ty\n" + b"1\n" * 7, ["x"], "line 6: 1 cells; and 2 more"),
        (Delimited(), b"x\ty\n1\t2\n\xff\t1\n", ["x"], "a, line 3: byte 0xff is not utf-8"),
        (Delimited(), b"x\n" + b"1\n" * 900_000 + b"\xc3", ["x"], "a, line 900002: byte 0xc3 is not utf-8"),
        (Delimited(encoding="utf-16"), "x\n1\n".encode("utf-16") + b"\x00\xdc\n\0", ["x"], "a, line 3: byte 0x00 is"),
        (Delimited(encoding="utf8x"), b"x\ty\n1\t2\n", ["x"], "an encoding that Python knows"),
        (Delimited(encoding="base64"), b"x\ty\n1\t2\n", ["x"], "an encoding that Python knows"),
        (Delimited(delimiter=",", quoting=True), b'x,y\n1,2\n"open,1\n', ["x"], "a, line 3: unexpected end"),
        (JsonLines(), b'{"x": 1}\n[2]\nfoo\n', ["x"], "line 2: a list; line 3:"),
        (JsonLines(), b'{"x": 1, "x": 2}\n', ["x"], "line 1: x twice"),
        (JsonLines(), b'{"x": 1}\n{"y": 1}\n', ["x"], "line 2: no x"),
        (JsonLines(), b'{"x": 1}\n', ["y"], "but it has: x"),
        (ParquetFile(), b"not parquet", ["x"], "a is not a Parquet file"),
        (LabelledLines(), b"\n \n", ["label"], "is empty"),
    ],
)
def test_faults_are_one_line_with_a_place(
    tmp_path: Path, reader: Any, content: bytes, columns: list[str], message: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        chunks(reader, [path], columns)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.tsv.gz", "a.tsv.zst"])
def test_a_broken_or_cut_compressed_file_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "".join(f"{i}\t{i * i}\n" for i in range(20_000)).encode())
    for content in (b"no archive at all", path.read_bytes()[:-200]):
        (tmp_path / f"bad{name}").write_bytes(content)
        with pytest.raises(InputError, match=r"Cannot read bada.tsv.*Download or copy the file again"):
            chunks(Delimited(header=False), [tmp_path / f"bad{name}"], [0])


@pytest.mark.parametrize("delimiter", ["", ",,", "\n", "\r"])
def test_a_delimiter_is_one_character_that_ends_no_line(delimiter: str) -> None:
    with pytest.raises(InputError, match="`delimiter` to be one character"):
        Delimited(delimiter=delimiter)
    with pytest.raises(InputError, match="`delimiter` to be one character"):
        Delimited(delimiter='"', quoting=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Delimited(header="no"),
        lambda: Delimited(quoting="off"),
        lambda: Delimited(drop_malformed=1),
        lambda: Delimited(ragged="yes"),
        lambda: FilePerText(head="no"),
    ],
)
def test_a_switch_must_be_true_or_false(make: Any) -> None:
    with pytest.raises(InputError, match="to be true or false, but got"):
        make()


def test_malformed_rows_can_be_dropped_and_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("x\ty\n1\n1\t2\n")
    (found,) = chunks(Delimited(drop_malformed=True), [path], ["x"])
    assert (found.lines, found.drops) == ([3], {"malformed": 1})
    path.write_text("x\ty\n1\n2\n")
    (found,) = chunks(Delimited(drop_malformed=True), [path], ["x"])
    assert (found.lines, found.drops) == ([], {"malformed": 2})


def test_rows_may_have_more_cells_than_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("a\tb\t1\nc\td\ne\tf\t2\t3\n")
    assert read(Delimited(header=False, ragged=True), path, [1, 0]) == [("b", "a"), ("d", "c"), ("f", "e")]
    with pytest.raises(InputError, match=r"3 cells or more per row in a.tsv, but found line 2: 2 cells. Correct"):
        read(Delimited(header=False, ragged=True), path, [2])
    with pytest.raises(InputError, match=r"Expected 3 cells per row in a.tsv, but found line 2: 2 cells; line 3: 4"):
        read(Delimited(header=False), path, [1])
