"""The list of data sets: statistics of rows, what is cached, and what the command prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
from catalogue import FOUND
from datasets.packaged_modules.csv.csv import Csv

from clsnorm.command.status import run_command
from clsnorm.data import HubSource
from clsnorm.data import __main__ as cli
from clsnorm.data import listing as listed
from clsnorm.data.listing import listing, without_places
from clsnorm.errors import InputError

CONF = Path(__file__).parents[2] / "conf"
REVIEWS = """# Reviews: is a customer content?
# python train.py data=reviews
defaults: [base/files, _self_]
name: reviews
labels: [bad, good]
rows: {train: 5, report: 4}
metrics:
  accuracy: {_target_: torchmetrics.classification.MulticlassAccuracy, _partial_: true, average: micro}
  f1_macro: {_target_: torchmetrics.classification.MulticlassF1Score, _partial_: true, average: macro}
monitor: f1_macro
max_empty: 0.5
about: {citation: Nobody (2020)}
sources:
  files:
    splits: {train: reviews/train.tsv, report: reviews/test.tsv}
    reader: {_target_: clsnorm.data.Delimited}
"""
SCORES = """# Scores: how alike are two sentences?
# python train.py data=scores
defaults: [base/files, _self_]
name: scores
task: regression
rows: {train: 3}
metrics: {pearson: {_target_: torchmetrics.PearsonCorrCoef}}
monitor: pearson
sources:
  files:
    splits: {train: scores.tsv}
    text: [one, two]
    reader: {_target_: clsnorm.data.Delimited}
"""
TRAIN = [("a fine film", "good"), ("A fine film!", "good"), ("dull", "bad"), ("", "bad"), ("good 影片 it is", "good")]
REPORT = [("a fine film", "good"), ("Dull.", "good"), ("new one", "bad"), ("newer one", "bad")]


def write(path: Path, *rows: tuple[str, ...]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A configuration of three data sets, one of which cannot be read."""
    folder = tmp_path / "conf"
    shutil.copytree(CONF / "paths", folder / "paths")
    shutil.copytree(CONF / "data" / "base", folder / "data" / "base")
    shutil.copy(CONF / "data" / "sick.yaml", folder / "data")
    (folder / "data" / "reviews.yaml").write_text(REVIEWS)
    (folder / "data" / "scores.yaml").write_text(SCORES)
    return folder


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    root = tmp_path / "published"
    root.mkdir()
    write(root / "reviews" / "train.tsv", ("text", "label"), *TRAIN)
    write(root / "reviews" / "test.tsv", ("text", "label"), *REPORT)
    write(root / "scores.tsv", ("one", "two", "label"), ("a", "b c", "2.5"), ("d", "e", "0"), ("f", "g", "5"))
    return {"data": str(root), "cache": str(tmp_path / "cache")}


def test_facts_found_by_reading_a_set(conf: Path, paths: dict[str, str]) -> None:
    (one,) = listing(conf, paths, only="reviews")
    assert one["kind"] == "one text, 2 classes"
    assert one["metrics"] == ["f1_macro", "accuracy"]
    assert one["about"]["citation"] == "Nobody (2020)"
    assert one["source"]["kind"] == "files"
    assert one["source"]["location"]["report"].endswith("published/reviews/test.tsv")
    assert one["published"] == {"train": 5, "report": 4}
    assert one["drops"] == {"train": {"empty text": 1}}
    assert one["classes"] == {"train": {"bad": 1, "good": 3}, "report": {"bad": 2, "good": 2}}
    assert one["majority"] == 0.75
    assert one["words"] == {"median": 3.0, "p95": pytest.approx(4.7)}  # 3, 3, 1, 5: a Chinese character is a word
    assert one["copies"]["report"] == {"exact": 1, "exact_relabelled": 0, "near": 2, "near_relabelled": 1}
    assert one["copies"]["train"]["near"] == 1
    assert one["examples"] == {"bad": [["dull"]], "good": [["a fine film"], ["A fine film!"]]}


def test_a_regression_set_has_a_range_and_examples_by_size(conf: Path, paths: dict[str, str]) -> None:
    (one,) = listing(conf, paths, only="scores")
    assert one["kind"] == "pairs, a number"
    assert one["range"] == [0.0, 5.0]
    assert one["majority"] is None
    assert one["examples"] == {"0": [["d", "e"]], "2.5": [["a", "b c"]], "5": [["f", "g"]]}


def test_a_missing_set_is_listed_with_the_files_to_get(conf: Path, paths: dict[str, str]) -> None:
    found = {one["name"]: one for one in listing(conf, paths)}
    assert set(found) == {"reviews", "scores", "sick"}
    assert "source" not in found["sick"]
    assert "a folder with SICK/SICK_train.txt" in found["sick"]["missing"]["files"]
    assert found["sick"]["stated"] == {"train": 4500, "select": 500, "report": 4927}


def test_a_set_without_train_is_listed_with_its_other_splits(
    conf: Path, paths: dict[str, str], command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (Path(paths["data"]) / "reviews" / "train.tsv").unlink()
    (one,) = listing(conf, paths, only="reviews")
    assert "reviews/train.tsv" in one["missing"]["files"]
    assert one["published"] == {"report": 4}
    assert one["words"]["median"] == 2
    assert one["copies"] == {}
    cli.main(command)
    assert "only report" in capsys.readouterr().out
    cli.main(["reviews", *command])
    assert "50.0% of report" in capsys.readouterr().out


def test_stored_facts_contain_no_text_and_no_path(
    paths: dict[str, str], command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path(paths["data"]) / "reviews" / "test.tsv", ("text", "label"), *REPORT, ("more", "good"))
    cli.main(["--found", *command])
    shown = capsys.readouterr().out
    assert {one["name"]: "words" in one for one in json.loads(shown)} == {
        "reviews": False,
        "scores": True,
        "sick": False,
    }
    assert paths["data"] not in shown
    assert "b c" not in shown


@pytest.mark.skipif("CLSNORM_DATA" not in os.environ, reason="CLSNORM_DATA names no folder of published data sets")
@pytest.mark.parametrize("name", ["acl_arc", "cb", "cr", "qnli", "trec", "wnli"])
def test_facts_in_the_documentation_equal_those_of_the_files(name: str, tmp_path: Path) -> None:
    paths = {"data": os.environ["CLSNORM_DATA"], "cache": str(tmp_path)}
    stored = json.loads((CONF.parent / FOUND).read_text(encoding="utf-8"))
    (one,) = listing(CONF, paths, only=name)
    if "published" not in one:
        pytest.skip(f"{name} is not there")
    assert [without_places(one, tmp_path)] == [found for found in stored if found["name"] == name]


def test_rows_that_are_refused_are_listed_with_the_reason(conf: Path, paths: dict[str, str]) -> None:
    write(Path(paths["data"]) / "reviews" / "test.tsv", ("text", "label"), *REPORT, ("more", "good"))
    (one,) = listing(conf, paths, only="reviews")
    assert "Expected 4 rows" in one["refused"]
    assert "examples" not in one


def test_facts_are_cached_until_a_file_changes(
    conf: Path, paths: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list(listing(conf, paths, only="reviews"))
    entries = [json.loads(path.read_text())["record"] for path in Path(paths["cache"]).rglob("record.json")]
    assert sorted("sets" in entry for entry in entries) == [False, True]
    assert sum("classes" in entry for entry in entries) == 1

    def never(*arguments: Any) -> None:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(listed, "measure", never)
        patch.setattr(listed, "data_sets", never)
        assert list(listing(conf, paths, only="reviews")) == before
    write(Path(paths["data"]) / "reviews" / "train.tsv", ("text", "label"), *TRAIN[:4], ("other", "bad"))
    (after,) = listing(conf, paths, only="reviews")
    assert after["classes"]["train"] == {"bad": 2, "good": 2}


def test_a_cache_that_cannot_be_written_is_refused(conf: Path, paths: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"Cannot write to the cache \S*file/listing.*Set paths.cache"):
        list(listing(conf, {**paths, "cache": str(tmp_path / "file")}))


def test_an_unknown_name_is_refused(conf: Path, paths: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"name of a data set, but got 'review'. Did you mean 'reviews'"):
        list(listing(conf, paths, only="review"))


@pytest.mark.parametrize("name", ["lansinuote/ChnSentiCorp", "SetFit/sst5", "stanfordnlp/snli"])
def test_the_cache_of_the_hub_is_looked_up_where_datasets_stores_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    source = HubSource(id=name, splits={"train": "train"}, text=["text"], label="label")
    assert not source.is_available(tmp_path)
    owner, _, short = name.partition("/")
    cached = Csv(cache_dir=str(tmp_path), repo_id=name, dataset_name=short, data_files=[]).cache_dir
    assert owner in cached
    Path(cached).mkdir(parents=True)
    assert source.is_available(tmp_path)


@pytest.fixture
def command(conf: Path, paths: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments that point at the small configuration's files."""
    monkeypatch.setattr(cli, "CONF", conf)
    return [f"paths.{name}={value}" for name, value in paths.items()]


def test_the_command_lists_all(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(command)
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if line.startswith("│")}
    assert {"reviews", "scores", "sick"} <= set(lines)
    for cell in ("5 / – / 4", "3 (5)", "75%", "f1_macro, accuracy", "files"):
        assert cell in lines["reviews"]
    assert "not found (files)" in lines["sick"]


def test_the_command_shows_one(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["reviews", *command])
    shown = capsys.readouterr().out
    for text in (
        "is a customer content?",
        "Nobody (2020)",
        "dropped 1 rows of train: empty text 1",
        "75.0% of train",
        "a fine film",
        "2 of 4 rows of report",
    ):
        assert text in shown


def test_the_command_prints_json(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["scores", "--json", *command])
    assert json.loads(capsys.readouterr().out)["name"] == "scores"
    cli.main(["--json", *command])
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["reviews", "scores", "sick"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reviews", "scores"], "Expected at most one data set, but got reviews, scores"),
        (["path.data=x"], "paths.probes, paths.evaluations, but got 'path.data'"),
        (["REVIEWS"], "got 'REVIEWS'. Did you mean 'reviews'?"),
        (["paths.data=nowhere"], "Expected paths.data to be a folder, but nowhere is not"),
        (["nothing"], "Expected the name of a data set, but got 'nothing'"),
    ],
)
def test_a_user_error_is_one_line_with_status_2(
    words: list[str], message: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: cli.main([*command, *words])) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "clsnorm.data", "cb", "--json", f"paths.data={tmp_path}", f"paths.cache={tmp_path}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as printing:
        assert printing.stdout is not None
        printing.stdout.close()
        printing.stdout = None
        _, errors = printing.communicate(timeout=100)
    assert (printing.returncode, errors) == (0, "")
