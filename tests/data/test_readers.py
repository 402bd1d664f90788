from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clsnorm.data import Delimited, JsonLines, LabelledLines, ParquetFile
from clsnorm.errors import InputError

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
LINE = TEXT.map(lambda s: "".join(c for c in s if c not in "\t\n\r")).filter(bool).filter(lambda s: s[0] != "\ufeff")
ROWS = st.lists(st.tuples(LINE, LINE), min_size=1, max_size=8)


def read(reader: Any, path: Path, columns: Any) -> list[tuple[Any, ...]]:
    found = reader.read(path, columns, shown=path.name)
    return list(zip(*(found.values[c] for c in columns), strict=True))


@QUICK
@given(rows=ROWS, bom=st.booleans(), end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_plain_round_trip(tmp_path: Path, rows: Any, bom: bool, end: str, last: bool) -> None:
    path = tmp_path / "a.tsv"
    text = end.join(["x\ty", *("\t".join(row) for row in rows)]) + (end if last else "")
    path.write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))
    assert read(Delimited(), path, ["y", "x"]) == [(y, x) for x, y in rows]
    headless = read(Delimited(header=False), path, [0, 1])
    assert headless == [("x", "y"), *rows]


@QUICK
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8))
def test_quoted_round_trip(tmp_path: Path, rows: Any) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("x", "y"), *rows])
    assert read(Delimited(delimiter=",", quoting=True), path, ["x", "y"]) == rows


@QUICK
@given(rows=st.lists(st.tuples(TEXT, st.one_of(TEXT, st.integers(), st.none())), min_size=1, max_size=8))
def test_json_round_trip(tmp_path: Path, rows: Any) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"x": x, "y": y, "z": 0}) for x, y in rows), encoding="utf-8")
    assert read(JsonLines(), path, ["x", "y"]) == rows


@QUICK
@given(rows=st.lists(st.tuples(TEXT, st.floats(allow_nan=False)), min_size=1, max_size=8))
def test_parquet_round_trip(tmp_path: Path, rows: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [x for x, _ in rows], "y": [y for _, y in rows], "z": [0] * len(rows)}), path)
    assert read(ParquetFile(), path, ["x", "y"]) == rows


@QUICK
@given(rows=st.lists(st.tuples(st.from_regex(r"[A-Z]{1,4}(:[a-z]{1,4})?", fullmatch=True), LINE), min_size=1))
def test_labelled_lines_round_trip(tmp_path: Path, rows: Any) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n".join(f"{label} {text}" for label, text in rows), encoding="utf-8", newline="")
    assert read(LabelledLines(), path, ["label", "text"]) == rows
    coarse = read(LabelledLines(label_until=":"), path, ["label", "text"])
    assert coarse == [(label.split(":")[0], text) for label, text in rows]


def test_characters_that_python_takes_for_line_ends_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("x\ty\nwait\x85 what\u2028\t1\n".encode())
    assert read(Delimited(), path, ["x", "y"]) == [("wait\x85 what\u2028", "1")]


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('x,y\n"two\nlines",1\n\nz,2\n')
    found = Delimited(delimiter=",", quoting=True).read(path, ["x"], shown="a.csv")
    assert found.lines == [2, 5]
    assert found.drops == {"empty line": 1}


@pytest.mark.parametrize(
    ("reader", "content", "columns", "message"),
    [
        (Delimited(), b"", ["x"], "a: .*|in a, but the file is empty"),
        (Delimited(), b"x\ty\n", ["x"], "it has none"),
        (Delimited(), b"x\ty\n1\t2\n", ["text"], "Expected column 'text' in a, but it has: x, y"),
        (Delimited(), b"x\tx\n1\t2\n", ["x"], "twice: x"),
        (Delimited(), b"x\ty\n1\n1\t2\n1\t2\t3\n", ["x"], "line 2: 1 cells; line 4: 3 cells"),
        (Delimited(), b"x\ty\n" + b"1\n" * 7, ["x"], "line 6: 1 cells; and 2 more"),
        (Delimited(), b"x\ty\n1\t2\n\xff\t1\n", ["x"], "a, line 3: byte 0xff is not utf-8"),
        (Delimited(encoding="utf8x"), b"x\ty\n1\t2\n", ["x"], "an encoding that Python knows"),
        (Delimited(delimiter=",", quoting=True), b'x,y\n1,2\n"open,1\n', ["x"], "a, line 3: unexpected end"),
        (JsonLines(), b'{"x": 1}\n[2]\nfoo\n', ["x"], "line 2: a list; line 3:"),
        (JsonLines(), b'{"x": 1, "x": 2}\n', ["x"], "line 1: a key stands there twice"),
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
        reader.read(path, columns, shown="a")
    assert "\n" not in str(caught.value)


def test_malformed_rows_can_be_dropped_and_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("x\ty\n1\n1\t2\n")
    found = Delimited(drop_malformed=True).read(path, ["x"], shown="a")
    assert (found.lines, found.drops) == ([3], {"malformed": 1})
