"""Inference of encoding, delimiter, quoting and header of a user's file."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clsnorm.data.own_files.column_roles import infer_roles
from clsnorm.data.own_files.file_start import infer_encoding
from clsnorm.data.own_files.inference import CellOptions, Preview, preview_cells, preview_json, preview_parquet

WORD = st.text("abcdefghijklmnopqrstuvwxyzäßé", min_size=1, max_size=8)


TEXT = st.lists(st.one_of(WORD, st.sampled_from([",", '"', ";", '"so"', "\n", ", and", "…"])), min_size=2, max_size=12)


TABLE = st.lists(st.tuples(TEXT.map(" ".join), st.sampled_from(["neg", "pos"])), min_size=12, max_size=30)


QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def back(path: Path, kind: str, encoding: str | None = None, header: bool | None = None) -> list[tuple[str, ...]]:
    given = CellOptions(header=header)
    preview = preview_cells(path, kind, encoding=encoding or infer_encoding([path]), given=given)
    roles = infer_roles(preview.columns, path.name, text=None, label=None)
    columns = [*roles.text, roles.label]
    found = preview.reader.read([path], columns, shown=[path.name])
    return [row for part in found for row in zip(*(part.columns[c] for c in columns), strict=True)]


@QUICK
@given(
    rows=TABLE,
    kind=st.sampled_from([(".csv", ","), (".csv", ";"), (".tsv", "\t"), (".txt", "|"), (".csv", "\t")]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    header=st.booleans(),
    every=st.booleans(),
    ending=st.sampled_from(["", ".gz", ".zst"]),
)
def test_quoted_cells_round_trip_with_an_inferred_layout(
    tmp_path: Path, rows: Any, kind: tuple[str, str], encoding: str, header: bool, every: bool, ending: str
) -> None:
    extension, delimiter = kind
    rows = [(f"{number} {text}", label) for number, (text, label) in enumerate(rows)] + [
        ("last, one", "neg"),
        ("x", "pos"),
    ]
    content = io.StringIO(newline="")
    writer = csv.writer(content, delimiter=delimiter, quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL)
    writer.writerows([("text", "label"), *rows] if header else rows)
    path = tmp_path / f"a{extension}{ending}"
    with pa.output_stream(str(path), compression="detect") as stream:
        stream.write(content.getvalue().encode(encoding))
    # Outside CSV, quotes count only if they must: cells with needless quotes are not changed.
    if extension == ".csv" or any('"' in text and not every for text, _ in rows):
        assert back(path, extension) == rows


def test_a_quoted_line_break_is_found_even_if_all_other_lines_are_regular(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [(f"a {number}", ("neg", "pos")[number % 2]) for number in range(12)]
    path.write_text("".join(f"{text};{label}\n" for text, label in rows) + '"; \n";neg\n')
    assert back(path, ".csv") == [*rows, ("; \n", "neg")]


@QUICK
@given(rows=TABLE, kind=st.sampled_from([(".tsv", "\t"), (".txt", "\t"), (".csv", "|")]), header=st.booleans())
def test_cells_without_quoting_round_trip(tmp_path: Path, rows: Any, kind: tuple[str, str], header: bool) -> None:
    extension, delimiter = kind
    texts = ['"open', *(f"{number} {' '.join(text.split())}" for number, (text, _) in enumerate(rows)), 'an "end']
    rows = [(text, ("neg", "pos")[number % 2]) for number, text in enumerate(texts)]
    path = tmp_path / f"a{extension}"
    lines = [("text", "label"), *rows] if header else rows
    path.write_text("".join(f"{text}{delimiter}{label}\n" for text, label in lines), encoding="utf-8")
    assert back(path, extension) == rows


@pytest.mark.parametrize(
    ("lines", "kind", "expected"),
    [
        (['"a, b",1', "c d,0", '"e ""f"" g",1'], ".csv", {"delimiter": ",", "quoting": True, "header": False}),
        (['"he said no,1', "c d,0"], ".csv", {"delimiter": ",", "quoting": False, "header": False}),
        (['"a" b\t1', "c d\t0"], ".tsv", {"delimiter": "\t", "quoting": False, "header": False}),
        (["text;y", "a, b;1", "c;0"], ".txt", {"delimiter": ";", "quoting": False, "header": True}),
        (["what;so", "a, b;1", "c;0"], ".csv", {"delimiter": ";", "header": True}),
        (["gj04\t1\t\tOur friends", "gj04\t0\t*\tOne more"], ".tsv", {"delimiter": "\t", "header": False}),
        (["utterance\tkind", *["some words\ta", "other words\tb"] * 4], ".tsv", {"header": True}),
    ],
)
def test_layouts(tmp_path: Path, lines: list[str], kind: str, expected: dict[str, Any]) -> None:
    path = tmp_path / f"a{kind}"
    path.write_text("\n".join(lines), encoding="utf-8")
    preview = preview_cells(path, kind, encoding="utf-8", given=CellOptions())
    assert {name: getattr(preview.reader, name) for name in expected} == expected


def test_quotes_that_would_span_many_rows_are_ordinary_characters(tmp_path: Path) -> None:
    """Rows of a GLUE file would silently be merged between an open quote and the next one."""
    rows = [(f'"sentence {i}' if i in (40, 80) else f"sentence {i}", str(i % 2)) for i in range(200)]
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    assert back(path, ".csv") == rows


@pytest.mark.parametrize("extension", ["jsonl", "parquet"])
def test_a_preview_has_a_reader_and_the_first_rows(tmp_path: Path, extension: str) -> None:
    rows = [{"text": f"a {number}", "label": number % 2} for number in range(5)]
    path = tmp_path / f"a.{extension}"
    if extension == "jsonl":
        path.write_text("\n".join([json.dumps(row) for row in rows] + ["{not an object"]))
        found: Preview = preview_json(path, encoding="utf-8")  # the reader refuses the last line, not the preview
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
        found = preview_parquet(path)
        (table,) = found.reader.read([path], ["label"], shown=["a"])
        assert table.columns == {"label": [0, 1, 0, 1, 0]}
    assert found.columns == {name: [row[name] for row in rows] for name in ("text", "label")}
