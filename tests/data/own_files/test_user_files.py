"""A user's own files: inference, refusals, and rows that round trip in any layout."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clsnorm.data.own_files.column_roles import infer_roles
from clsnorm.data.own_files.inference import infer_encoding, preview_cells
from clsnorm.errors import InputError

Build = Callable[..., Any]

WORD = st.text("abcdefghijklmnopqrstuvwxyzäßé", min_size=1, max_size=8)
TEXT = st.lists(st.one_of(WORD, st.sampled_from([",", '"', ";", '"so"', "\n", ", and", "…"])), min_size=2, max_size=12)
TABLE = st.lists(st.tuples(TEXT.map(" ".join), st.sampled_from(["neg", "pos"])), min_size=12, max_size=30)
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def back(path: Path, kind: str) -> list[tuple[str, ...]]:
    preview = preview_cells(path, kind, encoding=infer_encoding([path]), delimiter=None, quoting=None, header=None)
    roles = infer_roles(preview.columns, path.name, text=None, label=None)
    columns = [*roles.text, roles.label]
    found = preview.reader.read([path], columns, shown=[path.name])
    return [row for part in found for row in zip(*(part.columns[c] for c in columns), strict=True)]


@QUICK
@given(
    rows=TABLE,
    kind=st.sampled_from([(".csv", ","), (".csv", ";"), (".tsv", "\t"), (".txt", "|"), (".csv", "\t")]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
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
    preview = preview_cells(path, kind, encoding="utf-8", delimiter=None, quoting=None, header=None)
    assert {name: getattr(preview.reader, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("word", "mark"), [(r"\t", "\t"), ("tab", "\t"), ("semicolon", ";"), ("pipe", "|"), (",", ",")]
)
def test_a_delimiter_may_be_given_by_name(user_files: Build, tmp_path: Path, word: str, mark: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"a text of {i}{mark}{'ab'[i % 2]}\n" for i in range(30)))
    data = user_files(path, text=0, label=1, delimiter=word, header=False)
    data.prepare()
    assert data.labels == ["a", "b"]


def test_quotes_that_would_span_many_rows_are_ordinary_characters(tmp_path: Path) -> None:
    """Rows of a GLUE file would silently be merged between an open quote and the next one."""
    rows = [(f'"sentence {i}' if i in (40, 80) else f"sentence {i}", str(i % 2)) for i in range(200)]
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    assert back(path, ".csv") == rows


@pytest.mark.parametrize(
    ("columns", "text", "label"),
    [
        (["text", "label"], ["text"], "label"),
        (["index", "sentence1", "sentence2", "label"], ["sentence1", "sentence2"], "label"),
        (["Premise", "Hypothesis", "gold_label"], ["Premise", "Hypothesis"], "gold_label"),
        (["question", "passage", "idx", "label"], ["question", "passage"], "label"),
        (["id", "question", "class"], ["question"], "class"),
    ],
)
def test_roles_by_name(columns: list[str], text: list[str], label: str) -> None:
    roles = infer_roles({name: ["x"] for name in columns}, "a", text=None, label=None)
    assert (roles.text, roles.label) == (text, label)


def test_roles_by_content() -> None:
    texts = [f"a rather long text {i}" for i in range(20)]
    columns = {"id": [str(i) for i in range(20)], "utt": texts, "kind": ["a", "b"] * 10}
    roles = infer_roles(columns, "a", text=None, label=None)
    assert (roles.text, roles.label) == (["utt"], "kind")
    numbered = infer_roles({0: ["a", "b"] * 10, 1: texts}, "a", text=None, label=None)
    assert (numbered.text, numbered.label) == ([1], 0)
    assert infer_roles(columns, "a", text=["id"], label=None).label == "kind"
    for more, what in (({"again": texts}, "text"), ({"group": ["x", "y"] * 10}, "label")):
        with pytest.raises(InputError, match=rf"Cannot tell which column of a is the {what}: .*kind \(a\).*Set data."):
            infer_roles(columns | more, "a", text=None, label=None)


def test_encodings(tmp_path: Path) -> None:
    contents = {
        "ascii": b"plain", "utf8": "naïve".encode(), "bom": "x".encode("utf-8-sig"), "wide": "naïve".encode("utf-16"),
        "windows": b"wait\x85", "any": b"\x81\xff", "zeros": "no mark".encode("utf-16-le"),
    }  # fmt: skip
    paths = {name: tmp_path / name for name in contents}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    expected = {
        "ascii": "utf-8",
        "utf8": "utf-8",
        "bom": "utf-8",
        "wide": "utf-16",
        "windows": "cp1252",
        "any": "latin-1",
    }
    for name, encoding in expected.items():
        assert infer_encoding([paths[name]]) == infer_encoding([paths["ascii"], paths[name]]) == encoding
    assert infer_encoding([paths["windows"], paths["any"]]) == "latin-1"
    with pytest.raises(
        InputError, match=r"one encoding, but \S*windows is cp1252, \S*utf8 is utf-8. Convert them, or set"
    ):
        infer_encoding([paths["windows"], paths["utf8"]])
    with pytest.raises(InputError, match=r"zeros, but it has zero bytes. Set data.encoding, perhaps to utf-16-le"):
        infer_encoding([paths["zeros"]])


def test_inferred_values_are_logged_and_can_be_overridden(
    user_files: Build, tmp_path: Path, two_classes: Build, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{label};{text} …\n" for text, label in two_classes(40)), encoding="cp1252")
    with caplog.at_level(logging.INFO, "clsnorm"):
        data = user_files(path, text=None, label=None)
        data.prepare()
    for line in (
        "data.encoding='cp1252', inferred from the beginning of",
        "is not UTF-8; read as cp1252, which is a guess: set data.encoding if it is wrong",
        "data.delimiter=';'",
        "data.quoting=False",
        "data.header=False",
        "data.text=[1]",
        "data.label=0",
        "found 2 classes in train: neg, pos",
    ):
        assert line in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "clsnorm"):
        given = {"delimiter": ";", "quoting": False, "header": False, "encoding": "latin-1", "text": 1, "label": 0}
        again = user_files(path, labels=["pos", "neg"], **given)
        again.prepare()
    assert "inferred" not in caplog.text
    assert "found" not in caplog.text
    assert again.labels == ["pos", "neg"]
    caplog.clear()
    with caplog.at_level(logging.INFO, "clsnorm"):
        user_files(path, text=None, label=None, rank=1, world_size=2)
    assert caplog.text == ""


@pytest.mark.parametrize("layout", ["list", "pattern", "folder", "gz", "parquet folder"])
def test_a_split_may_be_several_files(user_files: Build, tmp_path: Path, two_classes: Build, layout: str) -> None:
    import pandas as pd

    rows = two_classes(60)
    folder = tmp_path / "parts"
    folder.mkdir()
    endings = {"gz": ".csv.gz", "parquet folder": ".parquet"}
    for number in range(3):
        part = pd.DataFrame(rows[number * 20 : number * 20 + 20], columns=["text", "label"])
        path = folder / f"part-{number}{endings.get(layout, '.csv')}"
        part.to_parquet(path) if layout == "parquet folder" else part.to_csv(path, index=False)
    for hidden in ("_SUCCESS", "._part-0.csv", "_part-9.csv", ".trash/part-8.csv"):
        (folder / hidden).parent.mkdir(exist_ok=True)
        (folder / hidden).write_bytes(b"\0\0")
    given = {"list": [str(folder / f"part-{n}.csv") for n in range(3)], "pattern": str(folder / "part-*.csv")}
    data = user_files(given.get(layout, folder), text=None, label=None)
    data.prepare()
    assert data.source_record["published"] == {"train": 60}
    seen = {}
    for loader in (data.calibration_dataloader(), data.val_dataloader(), *data.test_dataloader()):
        for batch in loader:
            seen |= dict(zip(batch.example_ids.tolist(), batch.labels.tolist(), strict=True))
    assert [data.labels[seen[i]] for i in range(60)] == [label for _, label in rows]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ""}, "`delimiter` to be one character .*but got ''"),
        ({"delimiter": ",,"}, "`delimiter` to be one character .*but got ',,'"),
        ({"encoding": "utf9"}, "Expected a data.encoding that Python knows, but got 'utf9'"),
        (
            {"train": "wide.tsv", "text": None},
            r"is the text: it has column 0 \(x\), .*column 19 \(x\) and 81 more. S",
        ),
        ({"train": "wide.tsv", "label": "c"}, "but it has: column 0, .*column 19 and 81 more"),
        ({"encoding": "base64"}, "Expected a data.encoding that Python knows, but got 'base64'"),
        ({"train": "deep.jsonl"}, "one JSON object per line in deep.jsonl, but found line 2: maximum recursion"),
        ({"train": "torn.parquet"}, "torn.parquet is not a Parquet file, or a broken one"),
        ({"train": "torn.parquet", "text": None, "label": None}, "torn.parquet is not a Parquet file, or a broken one"),
        ({"train": "nowhere.tsv"}, "`data.train` to name files, but nowhere.tsv does not exist"),
        ({"train": ""}, "`data.train` to name a file, a pattern or a folder, or several, but got ''"),
        ({"train": ["a.tsv", ""]}, r"`data.train` to name a file, .*but got \['a.tsv', ''\]"),
        ({"train": [5]}, r"`data.train` to name a file, .*but got \[5\]"),
        ({"select": 5}, "`data.select` to name a file, .*but got 5"),
        ({"train": []}, "`data.train` to name at least one file, but it is empty"),
        (
            {"train": "EMPTY"},
            "Expected files with extension .csv, .tsv, .txt, .jsonl, .ndjson, .parquet in .*but there are none",
        ),
        ({"train": ["a.tsv", "a.tsv"]}, "each named once, but .*a.tsv is named twice"),
        ({"train": ["a.tsv", "b.jsonl"]}, "Expected files of one format, .*but got a.tsv, b.jsonl"),
        (
            {"train": "one.txt"},
            r"rows with the same number of cells, .*, in .*one.txt.* Set data.delimiter and data.quoting",
        ),
        ({"train": "many.tsv", "text": None}, r"Cannot tell which column of .*many.tsv is the text: it has one \(a"),
        ({"train": "blank.tsv"}, "Expected rows in .*blank.tsv, but the file is empty"),
        ({"text": "txet"}, "Expected column 'txet' in .*a.tsv, but it has: text, label. Did you mean 'text'"),
    ],
)
def test_impossible_options_are_refused_in_one_line(
    user_files: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("EMPTY").mkdir()
    lines = [f"text {i}\t{'ab'[i % 2]}" for i in range(30)]
    Path("a.tsv").write_text("\n".join(["text\tlabel", *lines]))
    Path("b.jsonl").write_text(json.dumps({"text": "x", "label": "a"}))
    Path("one.txt").write_text("\n".join(f"a line of {i}{', maybe' * (i % 3)}" for i in range(30)))
    Path("many.tsv").write_text(
        "\n".join(["one\ttwo\tlabel", *(f"a longer text {i}\tother text {i}\ta" for i in range(9))])
    )
    names = [*(f"column {i}" for i in range(100)), "label"]
    Path("wide.tsv").write_text("\n".join(["\t".join(names), *["\t".join(["x"] * 101)] * 3]))
    Path("blank.tsv").write_text("\n \n")
    Path("deep.jsonl").write_text('{"text": "x", "label": "a"}\n' + "[" * 100_000)
    pq.write_table(pa.table({"text": [f"text {i}" for i in range(99)], "label": ["a", "b", "c"] * 33}), "whole.parquet")
    whole = Path("whole.parquet").read_bytes()
    Path("torn.parquet").write_bytes(whole[:4] + b"\xff" * 60 + whole[64:])
    with pytest.raises(InputError, match=message) as caught:
        user_files(options.pop("train", "a.tsv"), **options).prepare()
    assert "\n" not in str(caught.value)
