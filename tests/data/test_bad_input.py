"""Wrong rows and options are refused in one line, before training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clsnorm.data.rows import labels as labelling
from clsnorm.errors import InputError

Build = Callable[..., Any]


GOOD = [(f"text {i}", "ab"[i % 2]) for i in range(20)]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (GOOD, {"text": "txet"}, "Expected column 'txet' in .*train.tsv, but it has: text, label. Did you mean 'text'"),
        (GOOD, {"label": "lable"}, "Expected column 'lable'"),
        (GOOD, {"labels": ["a", "c"]}, "among a, c in .*train.tsv, but found line 3: unknown label 'b'.*; and 5 more"),
        (GOOD, {"labels": ["a", "b", "c"]}, "Expected each class in the train split, but 5 rows hold none of: c"),
        ([*GOOD, ("x", "")], {"labels": ["a", "b"]}, "line 22: no label"),
        ([(i, "ab"[i % 2]) for i in range(20)], {}, "a text column holds only numbers, such as '0'"),
        ([("", "a")], {}, "all 1 rows are empty"),
        ([], {}, "it has none"),
        ([("x", "a"), ("y", "a")], {}, "at least two classes in .*, but found only 'a'"),
        ([(f"t{i}", i / 7) for i in range(60)], {}, "found 60 different numbers in 60 rows. To predict a number, set"),
        ([*GOOD, ("x", "nan")], {"task": "regression"}, "Expected a finite number .* line 2: 'a'.*; and 16 more"),
        (GOOD, {"rows": {"train": 21}}, "Expected 21 rows in .*train.tsv, but found 20"),
        ([*GOOD, ("x", "1e300")], {"task": "regression"}, "Expected a finite number"),
        (GOOD, {"task": "regresion"}, "`data.task` to be one of .*. Did you mean 'regression'"),
        (GOOD, {"monitor": "acuracy"}, "`data.monitor` to be one of accuracy, but got 'acuracy'. Did you mean"),
        (GOOD, {"mode": "most"}, "`data.mode` to be one of max, min"),
        (GOOD, {"batch_size": 0}, "`data.batch_size` to be a whole number of at least 1, but got 0"),
        (GOOD, {"max_train_examples": -1}, "`data.max_train_examples` to be null or a whole number of at least 1"),
        (GOOD, {"max_train_examples": 1}, "`data.max_train_examples` to be at least 2, a row of each class, but got 1"),
        (GOOD, {"max_length": 2}, r"`data.max_length` to be in \[3, "),
        (GOOD, {"max_length": 10_000}, "its model reads at most"),
        (GOOD, {"labels": ["a", "a"]}, "two or more different classes"),
        (GOOD, {"labels": ["a", "b"], "task": "regression"}, "null for regression"),
        (GOOD, {"seed_order": -1}, "`seeds.order` to be a whole number of at least 0, but got -1"),
        (GOOD, {"text": ["a", "b", "c"]}, "one column or two"),
        (
            GOOD,
            {"text": ["text", "label"]},
            "different columns, and not the label's, but got text=.*'label'.* label=label",
        ),
        (GOOD, {"text": ["text", "text"]}, "`text` to name different columns"),
        (GOOD, {"text": [["text", "text"]]}, "`text` to name different columns"),
        (GOOD, {"drop_leaked": "no"}, "`data.drop_leaked` to be true or false, but got 'no'"),
        (GOOD, {"packed": 2}, "`data.packed` to be true or false, but got 2"),
        (GOOD, {"header": "no"}, "`data.header` to be true, false or null, but got 'no'"),
        (GOOD, {"quoting": "off"}, "`data.quoting` to be true, false or null, but got 'off'"),
        (GOOD, {"header": False}, "numbers from 0 with data.header=false, but got text, label"),
        (GOOD, {"num_workers": -1}, "`data.num_workers` to be a whole number of at least 0, but got -1"),
        (GOOD, {"rows": {"trian": 3}}, "`data.rows` to be one of train, but got 'trian'. Did you mean 'train'"),
        (GOOD, {"rows": {"train": "20"}}, "`data.rows.train` to be null or a whole number of at least 1, but got '20'"),
        (GOOD, {"untrained": ["b"]}, r"`data.untrained` to be empty where data.labels is null, but got \['b'\]"),
        (GOOD, {"untrained": ["c"], "labels": ["a", "b"]}, "`data.untrained` to be one of a, b, but got 'c'"),
        (GOOD, {"select": "nowhere.tsv"}, "`data.select` to name files, but nowhere.tsv does not exist"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    user_files: Build, write_tsv: Build, rows: Any, options: dict[str, Any], message: str
) -> None:
    path = write_tsv("train.tsv", rows)
    with pytest.raises(InputError, match=message) as caught:
        user_files(path, **options).prepare()
    assert "\n" not in str(caught.value)


def test_faults_of_report_are_found_before_training(user_files: Build, write_tsv: Build) -> None:
    train = write_tsv("train.tsv", GOOD)
    with pytest.raises(InputError, match=r"bad.tsv, but found line 4: unknown label 'q'"):
        user_files(train, write_tsv("bad.tsv", [("x", "a"), ("y", "b"), ("z", "q")])).prepare()
    with pytest.raises(InputError, match=r"different files for each split, each .*, but .*train.tsv is named twice"):
        user_files(train, train)
    with pytest.raises(InputError, match="files of one format"):
        user_files(train, write_tsv("a.xlsx", GOOD))


def test_labels_that_are_no_names_are_refused(user_files: Build, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(20)]
    for odd, fault in ((float("nan"), "no label"), (["a"], "a list"), ({"a": 1}, "a dict"), (None, "no label")):
        path.write_text("\n".join(map(json.dumps, [*rows, {"text": "x", "label": odd}])))
        with pytest.raises(InputError, match=rf"Expected a label in each row in .*, but found line 21: {fault}"):
            user_files(path).prepare()
    path.write_text("\n".join(json.dumps({"text": f"text {i}", "label": 3e38 if i else 1e39}) for i in range(20)))
    with pytest.raises(InputError, match=r"finite number to predict in each row in .*, but found line 1: 1e"):
        user_files(path, task="regression").prepare()


def test_faults_of_several_files_name_them_all(user_files: Build, write_tsv: Build) -> None:
    files = [str(write_tsv(f"{name}.tsv", GOOD)) for name in "ab"]
    with pytest.raises(InputError, match=r"Expected 50 rows in \S*a.tsv, \S*b.tsv, but found 40 \(20, 20\)"):
        user_files(files, rows={"train": 50}).prepare()
    files = [str(write_tsv(f"{name}.tsv", [("x", "a")] * 9)) for name in "cd"]
    with pytest.raises(InputError, match=r"two classes in \S*c.tsv, \S*d.tsv, but found only 'a'"):
        user_files(files).prepare()
    files = [str(write_tsv(f"{name}.tsv", [("", "a"), *GOOD])) for name in "ef"]
    with pytest.raises(InputError, match=r"of the rows of \S*e.tsv, \S*f.tsv to have an empty text, but 2 of 42 have"):
        user_files(files, max_empty=0.01).prepare()


def test_only_faults_that_are_shown_are_formatted(user_files: Build, write_tsv: Build, monkeypatch: Any) -> None:
    spelt: list[str] = []
    monkeypatch.setattr(labelling, "_unknown", lambda name, known: spelt.append(name) or name)
    with pytest.raises(InputError, match="and 95 more"):
        user_files(write_tsv("a.tsv", [*GOOD, *[("x", "c")] * 100]), labels=["a", "b"]).prepare()
    assert len(spelt) == 5


def test_json_numbers_are_refused_as_text(user_files: Build, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": i, "label": i % 2}) for i in range(20)))
    with pytest.raises(InputError, match=r"Expected text in the text column in .*, but found line 1: 0; line 2: 1;"):
        user_files(path).prepare()


def test_codes_are_understood_only_for_stated_names(user_files: Build, write_tsv: Build, two_classes: Build) -> None:
    named, coded = two_classes(40), [(text, int(label == "pos")) for text, label in two_classes(20)]
    train, report = write_tsv("train.tsv", named), write_tsv("report.tsv", coded)
    with pytest.raises(InputError, match=r"among neg, pos in \S*report.tsv, but found line 2: unknown label '0'"):
        user_files(train, report).prepare()
    data = user_files(train, report, labels=["neg", "pos"])
    data.prepare()
    assert data.labels_of("report").tolist() == [label for _, label in coded]


def test_a_class_without_a_row_in_train_or_in_report(user_files: Build, write_tsv: Build, two_classes: Build) -> None:
    train = write_tsv("train.tsv", two_classes(60))
    report = write_tsv("report.tsv", [("x", "neg"), ("y", "other")])
    names = ["neg", "pos", "other"]
    with pytest.raises(InputError, match="each class in the train split, but 30 rows hold none of: other"):
        user_files(train, report, labels=names).prepare()
    data = user_files(train, report, labels=names, untrained=["other"], allow_absent=True)
    data.prepare()
    assert data.labels_of("report").tolist() == [0, 2]  # no row is positive, which is allowed
    assert data.num_outputs == 3
    for cached in (False, True):
        with pytest.raises(
            InputError,
            match=r"in the report split, but 2 rows hold none of: pos\. Give more.*set data.allow_absent=true",
        ):
            user_files(train, report, labels=names, untrained=["other"], max_length=16 + (not cached)).prepare()


def test_many_empty_texts_are_refused(user_files: Build, write_tsv: Build, two_classes: Build) -> None:
    path = write_tsv("a.tsv", [("", "pos"), *two_classes(60)])
    with pytest.raises(InputError, match=r"at most 0.01 of the rows of \S*a.tsv .* but 1 of 61 have.*data.max_empty"):
        user_files(path, max_empty=0.01).prepare()
    user_files(path, max_empty=0.02).prepare()


def test_half_a_surrogate_pair_is_refused(user_files: Build, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a \\ud83d b", "label": "x"}\n{"text": "c", "label": "y"}\n')
    with pytest.raises(InputError, match=r"line 1: half of a surrogate pair"):
        user_files(path).prepare()


def test_a_warning_is_logged_if_the_tokenizer_does_not_know_the_text(
    user_files: Build, write_tsv: Build, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [(f"𓀀𓀁 𓂀 {i}" if i % 2 else f"𓁐 𓃒 {i}", "ab"[i % 2]) for i in range(60)]
    data = user_files(write_tsv("a.tsv", rows))
    data.prepare()
    share = data.source_record["unknown_share"]["train"]
    assert 0.5 < share < 0.8
    assert f"it does not know {share:.0%} of the tokens of train" in caplog.text
    assert [record.levelname for record in caplog.records if "tokenizer" in record.message] == ["WARNING"] * 3


def test_a_class_of_one_row_stays_in_train_and_its_absence_elsewhere_is_logged(
    user_files: Build, write_tsv: Build, caplog: pytest.LogCaptureFixture
) -> None:
    data = user_files(write_tsv("train.tsv", [*GOOD, ("one of its kind", "rare")]))
    with caplog.at_level("INFO"):
        data.prepare()
    assert np.bincount(data.labels_of("train"))[2] == 1
    assert data.source_record["absent"] == {"select": ["rare"], "report": ["rare"]}
    assert "no row of select is of class rare" in caplog.text
