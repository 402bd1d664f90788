"""Files as other programs write them: read as pandas reads them with the right options, or refused with the cure."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clsnorm.errors import InputError

Build = Callable[..., Any]
ROWS = [(f"river market, so it was {at}", ("pos", "neg")[at % 2]) for at in range(40)]
QUOTES = [(f'say "{text}" \\n', label) for text, label in ROWS]
CODES = [(text, str(at % 2)) for at, (text, _) in enumerate(ROWS)]


def lines(rows: list[tuple[str, ...]], delimiter: str = "\t", end: str = "\n", **dialect: Any) -> str:
    content = io.StringIO(newline="")
    csv.writer(content, delimiter=delimiter, lineterminator=end, **dialect).writerows(rows)
    return content.getvalue()


def escaped(rows: list[tuple[str, str]]) -> str:
    return "".join('"{}","{}"\n'.format(text.replace('"', '\\"'), label) for text, label in rows)


HEAD, TABBED = "text,label\n", "text\tlabel\n"
PLAIN, CSV = lines(ROWS), lines(ROWS, ",")
# By name: the extension, the content, the options of the package, and those of pandas.
READ: dict[str, tuple[str, str | bytes, dict[str, Any], dict[str, Any]]] = {
    "Excel's sep= line": (
        ".csv",
        "\ufeffsep=;\r\ntext;label\r\n" + lines(ROWS, ";", "\r\n"),
        {},
        {"skiprows": 1, "sep": ";"},
    ),
    "comment": (".csv", "# by a tool, 2024\n" + HEAD + CSV, {}, {"skiprows": 1}),
    "comments, stated": (".csv", HEAD + "# a, b\n" + CSV + "# c, d\n", {"comment": "#"}, {"comment": "#"}),
    "title": (".csv", "Survey of 2024,\n\nanswer,verdict\n" + CSV, {}, {"skiprows": 2}),
    "title, stated": (".csv", "Survey, 2024\nwhat,sort\n" + CSV, {"skip_lines": 1}, {"skiprows": 1}),
    "digits": (".csv", "0,1\n" + lines(CODES, ","), {"text": 0, "label": 1}, {}),
    "index and digits": (
        ".csv",
        ",0,1\n" + "".join(f"{i},{t}" for i, t in enumerate(CSV.splitlines(True))),
        {},
        {"index_col": 0},
    ),
    "few shots": (
        ".csv",
        "phrase_text,intention\n" + lines([(t, f"call {i // 3}") for i, (t, _) in enumerate(ROWS[:24])], ","),
        {},
        {},
    ),
    "rare first label, stated": (
        ".tsv",
        "only one,rare\n".replace(",", "\t") + PLAIN,
        {"header": False},
        {"header": None, "sep": "\t"},
    ),
    "escaped quotes": (".csv", HEAD + escaped(QUOTES), {}, {"escapechar": "\\"}),
    "spaces": (".csv", "label, text\n" + "".join(f'{b}, "{a}"\n' for a, b in ROWS), {}, {"skipinitialspace": True}),
    "phantom columns": (
        ".csv",
        "v1,v2,,,\r\n" + "".join(f'{b},"{a}",,,\r\n' for a, b in ROWS),
        {"text": "v2", "label": "v1"},
        {},
    ),
    "unused names twice": (".csv", "text,label,x,x\n" + lines([(*row, "1", "2") for row in ROWS], ","), {}, {}),
    "trailing delimiters": (
        ".csv",
        "text,label\n" + lines([(*row, "") for row in ROWS], ","),
        {},
        {"index_col": False},
    ),
    "line ends of old Macs": (".tsv", (TABBED + PLAIN).replace("\n", "\r"), {}, {"sep": "\t", "lineterminator": "\r"}),
    "gzip without its name": (".csv", gzip.compress((HEAD + CSV).encode()), {}, {"compression": "gzip"}),
    "stated encoding": (
        ".tsv",
        (TABBED + PLAIN.replace("so", "où")).encode("cp1252"),
        {"encoding": "cp1252"},
        {"sep": "\t", "encoding": "cp1252"},
    ),
    "quotes around all": (".tsv", lines([("text", "label"), *ROWS], quoting=csv.QUOTE_ALL), {}, {"sep": "\t"}),
    "two marks": (".csv", "\ufeff\ufeff" + HEAD + CSV, {}, {"names": ["text", "label"], "header": 0}),
    "UTF-32": (".csv", (HEAD + CSV).encode("utf-32"), {}, {"encoding": "utf-32"}),
}


@pytest.mark.parametrize("name", READ)
def test_rows_are_those_of_pandas(user_files: Build, tmp_path: Path, name: str) -> None:
    extension, content, options, known = READ[name]
    path = tmp_path / f"a{extension}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = user_files(path, **{"text": None, "label": None, **options}).sources["files"]
    found = [row for table in source.read(Path(), "train") for row in zip(*table.texts, table.labels, strict=True)]
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, **known)
    frame.columns = [str(column).strip() for column in frame.columns]
    columns = [str(column) for column in (*source.text, source.label)]
    texts = frame[columns].apply(lambda column: column.str.replace("\\n", "n"))  # pandas drops what csv escapes
    assert [tuple(cell.replace("\\n", "n") for cell in row) for row in found] == list(
        texts.itertuples(index=False, name=None)
    )


RECORDS = [{"text": text, "label": label} for text, label in ROWS]
REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "rare first label": (
        ".tsv",
        "the only one of all\trare\n" + PLAIN,
        "whether line 1 of .* is the header or a row. Set data.header",
    ),
    "header in the middle": (".csv", HEAD + CSV + HEAD + CSV, "one header in .*line 42 .*Delete this line"),
    "unknown header in the middle": (
        ".csv",
        "a_b,c_d\n" + CSV + "a_b,c_d\n" + CSV,
        "one header in .*line 42: the header. Delete",
    ),
    "two headers": (
        ".csv",
        "Q1,Q2\nWhat is it?,Which sort\n" + CSV,
        "which line of .* is the header: line 1 .* or line 2",
    ),
    "title without a header": (".csv", "Survey of 2024\n" + CSV, "line 1 of .*data.skip_lines=1 if it is neither"),
    "damaged UTF-8": (
        ".csv",
        (HEAD + CSV.replace("so", "où")).encode() + b"na\xefve,pos\n",
        "line 42: byte 0xef .* but most of the file is",
    ),
    "older encoding": (
        ".csv",
        (HEAD + CSV.replace("so", "où")).encode("cp1252"),
        "line 2: byte 0xf9 .*data.encoding=cp1252 reads '.* où it",
    ),
    "zero byte": (
        ".csv",
        HEAD + CSV.replace("so", "s\0o", 1),
        "line 2 has a zero byte. Delete it, or set data.encoding",
    ),
    "Excel": (".csv", b"PK\x03\x04" + b"xl/workbook.xml" * 9, "it is an Excel workbook. Save it as CSV"),
    "JSON in CSV": (
        ".csv",
        "\n".join(map(json.dumps, RECORDS)),
        "begins as JSON does. Write an object per line and name it .jsonl",
    ),
    "JSON array": (
        ".jsonl",
        json.dumps(RECORDS, indent=1),
        "it is one JSON array. Write each row on a line, as to_json",
    ),
    "JSON arrays": (
        ".jsonl",
        "\n".join(json.dumps([one]) for one in RECORDS),
        "it is a JSON array on each line. Write",
    ),
    "JSON of columns": (".jsonl", pd.DataFrame(RECORDS).to_json(), "it is one JSON object. Write each row on a line"),
    "JSON over lines": (
        ".jsonl",
        "\n".join(json.dumps(one, indent=1) for one in RECORDS),
        "it is one JSON object over several lines",
    ),
    "Python's dictionaries": (
        ".jsonl",
        "\n".join(map(str, RECORDS)),
        "line 1: Expecting property name .* at character 2; line 2: ",
    ),
    "text as Parquet": (".parquet", HEAD + CSV, "is not a Parquet file, but text. Name it"),
    "wanted name twice": (
        ".csv",
        "text,label,text\n" + lines([(*row, "x y z") for row in ROWS], ","),
        "Cannot tell which column",
    ),
    "quotes not closed": (
        ".csv",
        '"text","label"\n' + lines(ROWS, ",", quoting=csv.QUOTE_ALL) + '"so,pos\n',
        "closed quotes in .*line 42",
    ),
    "UTF-16 without a mark": (
        ".csv",
        (HEAD + CSV).encode("utf-16-le"),
        "Set data.encoding=utf-16-le, which reads 'text,label'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_sentence(user_files: Build, tmp_path: Path, name: str) -> None:
    extension, content, message = REFUSED[name]
    path = tmp_path / f"a{extension}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        user_files(path, text=None, label=None).prepare()
    assert "\n" not in str(caught.value)


def test_keys_that_occur_twice_matter_only_if_they_are_used(user_files: Build, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = '{{"x": 1, "x": {{"y": 1, "y": 2}}, "text": {}, "label": "{}"}}'
    path.write_text("\n".join(row.format(json.dumps(text), label) for text, label in ROWS))
    (table,) = user_files(path, text=None, label=None).sources["files"].read(Path(), "train")
    assert list(zip(*table.texts, table.labels, strict=True)) == ROWS
    with pytest.raises(InputError, match=r"every column once in every row in .*, but found line 1: x twice; line 2: x"):
        user_files(path, text="text", label="x").prepare()
