"""`UserFiles`: options, inferred values and refusals; the inference has its own tests."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clsnorm.errors import InputError

Build = Callable[..., Any]


@pytest.mark.parametrize(
    ("word", "mark"), [(r"\t", "\t"), ("tab", "\t"), ("semicolon", ";"), ("pipe", "|"), (",", ",")]
)
def test_a_delimiter_may_be_given_by_name(user_files: Build, tmp_path: Path, word: str, mark: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"a text of {i}{mark}{'ab'[i % 2]}\n" for i in range(30)))
    data = user_files(path, text=0, label=1, delimiter=word, header=False)
    data.prepare()
    assert data.labels == ["a", "b"]


def test_inferred_values_are_logged_and_can_be_overridden(
    user_files: Build, tmp_path: Path, two_classes: Build, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{label};{text} …\n" for text, label in two_classes(40)), encoding="utf-8")
    with caplog.at_level(logging.INFO, "clsnorm"):
        data = user_files(path, text=None, label=None)
        data.prepare()
    for line in (
        "data.encoding='utf-8', inferred from the beginning of",
        "data.delimiter=';'",
        "data.quoting=False",
        "data.header=False",
        "data.text=[1]",
        "data.label=0",
        "first rows of a.txt as they are read (no line skipped, no header):",
        "  line 1: text 'a bad film number 0 …', label 'neg'",
        "  line 3: text 'a good film number 2 …', label 'pos'",
        "found 2 classes in train: neg, pos",
    ):
        assert line in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "clsnorm"):
        given = {
            "delimiter": ";",
            "quoting": False,
            "header": False,
            "encoding": "utf-8",
            "skip_lines": 0,
            "text": 1,
            "label": 0,
        }
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
