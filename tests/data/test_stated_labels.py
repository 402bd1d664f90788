"""A stated label means the same as the file's, in every format; what is merged or dropped is counted."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clsnorm.errors import InputError

Build = Callable[..., Any]


def write(path: Path, labels: Sequence[Any]) -> Path:
    """Writes a text for each label, in the format of the file's extension."""
    texts = [f"a text of number {i}" for i in range(len(labels))]
    if path.suffix == ".csv":
        rows = "".join(f"{text},{label}\n" for text, label in zip(texts, labels, strict=True))
        path.write_text(f"text,label\n{rows}", encoding="utf-8")
    elif path.suffix == ".jsonl":
        rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        pq.write_table(pa.table({"text": texts, "label": list(labels)}), path)
    return path


def classes(data: Any, split: str = "train") -> list[str]:
    """The class of each row, in the order of the data."""
    return [data.labels[i] for i in data.labels_of(split)]


# What a file of each format has for two classes, and how they can be stated; the last two columns are their names.
SPELLINGS: list[tuple[str, list[Any], list[Any], list[str]]] = [
    (".csv", ["0", "1"], [1, 0], ["1", "0"]),
    (".csv", ["0.0", "1.0"], [1.0, 0.0], ["1.0", "0.0"]),
    (".csv", ["0", "1"], [1.0, 0.0], ["1", "0"]),
    (".csv", ["0.0", "1.0"], [1, 0], ["1.0", "0.0"]),
    (".csv", ["FALSE", "TRUE"], [True, False], ["TRUE", "FALSE"]),
    (".csv", ["False", "True"], [True, False], ["True", "False"]),
    (".csv", ["no", "yes"], [True, False], ["yes", "no"]),
    (".csv", ["f", "t"], [True, False], ["t", "f"]),
    (".csv", ["0", "1"], [True, False], ["1", "0"]),
    (".csv", ["null", "1e3"], [1000.0, None], ["1e3", "null"]),
    (".csv", ["1e3", "-0.0"], [0.0, 1e3], ["-0.0", "1e3"]),
    (".csv", ["nan", "inf"], [float("inf"), float("nan")], ["inf", "nan"]),
    (".csv", ["2024-01-01", "2024-01-02"], ["2024-01-02", "2024-01-01"], ["2024-01-02", "2024-01-01"]),
    (".jsonl", [0.0, 1.0], [1.0, 0.0], ["1", "0"]),
    (".jsonl", [0.0, 1.0], ["1.0", "0.0"], ["1.0", "0.0"]),
    (".jsonl", ["0", "1"], [1, 0], ["1", "0"]),
    (".jsonl", [0, 1], ["1", "0"], ["1", "0"]),
    (".jsonl", [0.5, 1.5], [1.5, 0.5], ["1.5", "0.5"]),
    (".jsonl", [False, True], [True, False], ["true", "false"]),
    (".jsonl", [False, True], ["TRUE", "FALSE"], ["TRUE", "FALSE"]),
    (".jsonl", [False, True], ["yes", "no"], ["yes", "no"]),
    (".jsonl", [False, True], [1, 0], ["true", "false"]),
    (".parquet", [False, True], [True, False], ["true", "false"]),
    (".parquet", [0.0, 1.0], [1.0, 0.0], ["1", "0"]),
    (".parquet", [0, 1], [1.0, 0.0], ["1", "0"]),
    (".parquet", [b"neg", "süß".encode()], ["süß", "neg"], ["süß", "neg"]),
]


@pytest.mark.parametrize(("kind", "found", "stated", "names"), SPELLINGS)
def test_a_stated_label_means_that_of_the_file(
    user_files: Build, tmp_path: Path, kind: str, found: list[Any], stated: list[Any], names: list[str]
) -> None:
    pattern = [0, 1, 1] * 10
    data = user_files(write(tmp_path / f"a{kind}", [found[i] for i in pattern]), labels=stated)
    data.prepare()
    assert data.labels == names
    ids = dict(zip(data.ids_of("train").tolist(), data.labels_of("train").tolist(), strict=True))
    assert ids == {row: 1 - pattern[row] for row in ids}  # the second label of the file was stated first
    assert data.source_record["spellings"]["train"].keys() == set(names)


def test_two_spellings_of_a_stated_value_are_one_class_and_are_counted(
    user_files: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.csv", ["TRUE", "false", "True", "TRUE"] * 10)
    data = user_files(path, labels=[True, False])
    with caplog.at_level(logging.INFO, "clsnorm"):
        data.prepare()
    assert data.labels == ["TRUE", "false"]
    assert data.source_record["spellings"]["train"] == {"TRUE": {"TRUE": 20, "True": 10}, "false": {"false": 10}}
    assert "labels of train that are all class 'TRUE' (rows): 'TRUE' (20), 'True' (10)" in caplog.text


@pytest.mark.parametrize(
    ("labels", "stated", "message"),
    [
        (["no", "off", "yes"], [False, True], "False could mean 'no', 'off'. Quote the labels in data.labels"),
        (["0", "1"], ["10", "20"], "unknown label '0'"),  # no ids, since the classes are numbers
        (["1", "2"], ["1.0", "2.0"], "unknown label '1'"),  # two texts; see the next test for the cure
        (["0", "1", "neg"], ["neg", "pos"], "unknown label '0'"),
        (["1", "2"], ["neg", "pos"], "unknown label '1'"),
        (["true", "false"], ["neg", "pos"], "unknown label 'true'"),
        (["Neg", "pos"], ["neg", "pos"], "unknown label 'Neg'.*only in case.*set data.normalize_labels=true"),
        (["a", "b"], ["a", "a"], "'a' and 'a' mean the same"),
        (["a", "b"], [1, 1.0], "1 and 1.0 mean the same. Quote labels"),
        (["a", "b"], [False, False], "False and False mean the same. Quote labels"),
        (["a", "b"], ["a", ["b"]], "`data.labels` to name classes, but got .'b'. among them"),
        (["a", "b"], ["a", " "], "`data.labels` to name classes, but got ' ' among them"),
    ],
)
def test_what_could_exchange_classes_is_refused(
    user_files: Build, tmp_path: Path, labels: list[str], stated: list[Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        user_files(write(tmp_path / "a.csv", labels * 10), labels=stated).prepare()


def test_all_splits_have_the_same_classes(user_files: Build, tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ["FALSE", "TRUE"] * 20)
    data = user_files(train, write(tmp_path / "report.csv", ["True", "False", "True"]), labels=[False, True])
    data.prepare()
    assert classes(data, "report") == ["TRUE", "FALSE", "TRUE"]
    with pytest.raises(InputError, match=r"False could mean 'FALSE', 'no'"):
        user_files(train, write(tmp_path / "other.csv", ["no", "yes"]), labels=[False, True]).prepare()
    with pytest.raises(InputError, match=r"report.csv, but found line 2: unknown label 'True'.*normalize_labels"):
        user_files(train, tmp_path / "report.csv").prepare()
    merged = user_files(train, tmp_path / "report.csv", normalize_labels=True)
    merged.prepare()
    assert classes(merged, "report") == ["TRUE", "FALSE", "TRUE"]


def test_an_untrained_class_may_be_stated_as_a_value(user_files: Build, tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ["a", "b"] * 30)
    report = write(tmp_path / "report.csv", ["no", "a", "b"])
    for untrained in (False, "false"):
        data = user_files(train, report, labels=["a", "b", False], untrained=[untrained], label_noise=0.5)
        data.prepare()
        assert data.labels == ["a", "b", "no"]
        assert classes(data, "report") == ["no", "a", "b"]
        assert set(classes(data)) == {"a", "b"}  # noise draws no class that cannot be learned
    with pytest.raises(InputError, match=r"`data\.untrained` to be one of a, b, but got True"):
        user_files(train, labels=["a", "b"], untrained=[True])


@pytest.mark.parametrize(
    ("kind", "labels", "dropped", "left", "reasons"),
    [
        (".csv", ["a", "NA", "b", ""], ["NA", None], ["a", "b"], {"label NA": 10, "no label": 10}),
        (".csv", ["a", "-", "b"], ["-"], ["a", "b"], {"label -": 10}),
        (".csv", ["a", "nan", "b"], [float("nan")], ["a", "b"], {"label nan": 10}),
        (".csv", ["1", "-1", "0"], [-1], ["0", "1"], {"label -1": 10}),
        (".jsonl", ["a", None, "b", "null"], [None], ["a", "b"], {"no label": 10, "label null": 10}),
        (".jsonl", [1, -1, 0, 2], [-1, "2"], ["0", "1"], {"label -1": 10, "label 2": 10}),
        (".parquet", [1.0, None, 0.0], [None], ["0", "1"], {"no label": 10}),
        (".parquet", ["a", "no", "b"], [False], ["a", "b"], {"label no": 10}),
    ],
)
def test_labels_can_be_dropped(
    user_files: Build, tmp_path: Path, kind: str, labels: list[Any], dropped: list[Any], left: list[str], reasons: Any
) -> None:
    data = user_files(write(tmp_path / f"a{kind}", labels * 10), drop_labels=dropped)
    data.prepare()
    assert data.labels == left
    assert data.source_record["drops"] == {"train": reasons}


def test_a_label_to_drop_that_no_row_has_is_warned_about(
    user_files: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.csv", ["a", "b", "-", "TRUE"] * 10)
    data = user_files(path, drop_labels=["-", "NA", True, None, "A"])
    data.prepare()
    warned = [record.message for record in caplog.records if "to be left out" in record.message]
    assert warned == [f"no row has label {label!r}, which is to be left out" for label in ("NA", "null", "A")]
    with pytest.raises(InputError, match=r"`data\.drop_labels` to list labels, but got \['a'\] among them"):
        user_files(path, drop_labels=[["a"]])


def test_rows_without_a_number_can_be_dropped(user_files: Build, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [0.5, None, 1.5] * 10)
    with pytest.raises(InputError, match="finite number to predict in each row"):
        user_files(path, task="regression").prepare()
    data = user_files(path, task="regression", drop_labels=[None])
    data.prepare()
    assert data.source_record["drops"] == {"train": {"no label": 10}}


@pytest.mark.parametrize("labels", [["Pos", "pos", "neg"], ["a", "NA"], ["a", "b", "-"], ["1", "1.0", "0"]])
def test_dubious_labels_are_warned_about_once_unless_they_are_stated(
    user_files: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture, labels: list[str]
) -> None:
    path = write(tmp_path / "a.csv", labels * 10)
    user_files(path).prepare()
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert f"'{labels[-1]}' (10)" in warning or f"'{labels[0]}' (10)" in warning
    caplog.clear()
    user_files(path, rank=1, world_size=2).prepare()
    user_files(path, labels=labels).prepare()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("stated", [None, ["a", "b"]])
@pytest.mark.parametrize(
    ("label", "fault"), [(["a"], r"a list, \['a'\]"), ({"a": 1, "b": 0}, "a dict, {'a': 1, 'b': 0}")]
)
def test_a_list_or_a_mapping_is_no_label(
    user_files: Build, tmp_path: Path, stated: list[str] | None, label: Any, fault: str
) -> None:
    with pytest.raises(InputError, match=f"Expected a label in each row .* line 1: {fault};.*Give each of these rows"):
        user_files(write(tmp_path / "a.jsonl", [label] * 10), labels=stated).prepare()


COLUMNS = [
    (pa.array([0.1, 0.2], pa.float32()), [0.2, 0.1], ["0.2", "0.1"]),
    (pa.array([0.1, 2.0], pa.float32()), ["2", "0.1"], ["2", "0.1"]),
    (pa.array([np.float16(0.5), np.float16(1)], pa.float16()), [1, 0.5], ["1", "0.5"]),
    (pa.array([Decimal("1.50"), Decimal("2.00")]), [2, 1.5], ["2", "1.5"]),
    (pa.array(["b", "a"]).dictionary_encode(), ["a", "b"], ["a", "b"]),
    (pa.array([b"b", b"a"], pa.binary(1)), ["a", "b"], ["a", "b"]),
    (pa.array([b"b", b"a"], pa.large_binary()).dictionary_encode(), ["a", "b"], ["a", "b"]),
    (pa.array([7, 9], pa.uint8()).dictionary_encode(), [9, "7"], ["9", "7"]),
    (pa.array([1, 2**63], pa.uint64()), [2**63, 1], [str(2**63), "1"]),
    (pa.array([1, 2], pa.date32()), ["1970-01-03", "1970-01-02"], ["1970-01-03", "1970-01-02"]),
    (pa.array([0, 1], pa.timestamp("s")), ["1970-01-01 00:00:01", "1970-01-01 00:00:00"], None),
    (pa.array([False, True]).dictionary_encode(), [True, False], ["true", "false"]),
]


@pytest.mark.parametrize(("column", "stated", "names"), COLUMNS, ids=[str(column.type) for column, *_ in COLUMNS])
def test_labels_of_each_type_of_parquet_can_be_stated(
    user_files: Build, tmp_path: Path, column: pa.Array, stated: list[Any], names: list[str] | None
) -> None:
    texts = [f"a text of number {i}" for i in range(30)]
    labels = column.take(pa.array([0, 1, 1] * 10))
    pq.write_table(pa.table({"text": texts, "label": labels}), tmp_path / "a.parquet")
    data = user_files(tmp_path / "a.parquet", labels=stated)
    data.prepare()
    assert data.labels == (names or stated)
    assert data.labels_of("train").tolist() == [1 - [0, 1, 1][row % 3] for row in data.ids_of("train")]
    found = user_files(tmp_path / "a.parquet")
    found.prepare()
    assert sorted(found.labels) == sorted(data.labels)


def test_bytes_that_are_no_text_are_refused_as_texts_and_as_labels(user_files: Build, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [b"a", b"\xff"] * 10)
    with pytest.raises(InputError, match="row 2: bytes that are not UTF-8"):
        user_files(path).prepare()
    pq.write_table(pa.table({"text": [b"good", b"\xff"] * 10, "label": ["a", "b"] * 10}), path)
    with pytest.raises(InputError, match=r"Expected text in the text column .* row 2: b'\\xff'"):
        user_files(path).prepare()
    pq.write_table(pa.table({"text": [f"caf\u00e9 {i}".encode() for i in range(20)], "label": ["a", "b"] * 10}), path)
    user_files(path, text=None, label=None).prepare()
