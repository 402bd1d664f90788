"""The same command again: after a finished run, an interrupted one, or changed files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runs import crashing_before, events, logged_steps, results, rows, weights

from clsnorm.errors import InputError

Train = Callable[..., SimpleNamespace]


def test_same_command_shows_the_finished_run(train: Train, caplog: pytest.LogCaptureFixture) -> None:
    first = train()
    stamp = (first.folder / "results.json").stat().st_mtime_ns
    with caplog.at_level("INFO"):
        again = train()
    assert again.folder == first.folder
    assert again.score == first.score
    assert (first.folder / "results.json").stat().st_mtime_ns == stamp
    assert "finished before: " in caplog.text
    with caplog.at_level("INFO"):
        train("callbacks=none")
    assert "finished before, with another choice of callbacks than requested now: " in caplog.records[-1].message
    train("force=true")
    assert (first.folder / "results.json").stat().st_mtime_ns != stamp


def test_a_crash_is_recorded_and_the_same_command_resumes(train: Train) -> None:
    whole = weights(train("paths.output=whole"))
    with crashing_before(12):
        train("checkpoint_every=1")
    (folder,) = Path("runs").iterdir()
    assert json.loads((folder / "error.json").read_text())["message"] == "a wire came loose"
    assert not (folder / "results.json").exists()
    resumed = train("checkpoint_every=1")
    assert resumed.folder == folder.absolute()
    assert not (folder / "error.json").exists()
    again = weights(resumed)
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    assert logged_steps(resumed) == sorted(set(logged_steps(resumed)))


def test_a_resume_neither_loses_nor_repeats_an_event(train: Train) -> None:
    each_validation = ("classifier.init_std=0", "callbacks=collapse", "trainer.val_check_interval=1")
    options = (*each_validation, "optimizer.lr=1e-300", "trainer.max_steps=8", "checkpoint_every=1")  # no weight moves
    run = train(*options, "paths.output=whole")
    validated = [row["step"] for row in rows(run.folder / "metrics.csv") if row["select/accuracy"]]
    whole = events(run)
    assert validated == [str(step) for step in range(8)]
    assert [event["step"] for event in whole if event["kind"] == "majority_collapse"] == validated
    assert [event["step"] for event in whole if event["kind"] == "failure"] == validated
    for step in (3, 5):
        with crashing_before(step):
            train(*options)
    found = events(train(*options))
    assert [event for event in found if event["kind"] != "resumed"] == whole
    assert [event["step"] for event in found if event["kind"] == "resumed"] == ["3", "5"]


@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_kill_between_a_step_and_its_row_loses_no_row(
    train: Train, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    from clsnorm.loggers.metrics_csv import MetricsCsv

    options = ("checkpoint_every=1", "trainer.log_every_n_steps=1", "trainer.max_epochs=1")
    whole = (train(*options, "paths.output=whole").folder / "metrics.csv").read_text()
    original = MetricsCsv.log_metrics

    def killed(self: Any, metrics: dict[str, float], step_: int | None = None, **named: Any) -> None:
        at = named.get("step", step_)
        if at == step and "train/loss" in metrics:
            self.save = lambda: None  # a killed process writes nothing
            raise SystemError("killed")
        original(self, metrics, at)

    with monkeypatch.context() as patch:
        patch.setattr(MetricsCsv, "log_metrics", killed)
        with pytest.raises(SystemError):
            train(*options)
    assert (train(*options).folder / "metrics.csv").read_text() == whole


def test_a_run_that_crashed_before_its_first_resume_point_starts_over(train: Train) -> None:
    with crashing_before(5):
        train()
    run = train()
    assert logged_steps(run) == sorted(set(logged_steps(run)))


def test_a_resumed_run_does_not_measure_the_start(train: Train) -> None:
    with crashing_before(12):
        train("checkpoint_every=1", "callbacks=none")
    found = results(train("checkpoint_every=1"))["metrics"]
    assert not [name for name in found if name.startswith("cls/start")]
    assert "cls/select/h/centred_share" in found


def test_the_commits_at_which_a_run_resumes_are_logged_and_stored(
    train: Train, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from clsnorm.run_folder import provenance

    for number, commit in ((5, "first"), (9, "second"), (13, "second")):
        monkeypatch.setattr(provenance, "commit", lambda commit=commit: commit)
        with crashing_before(number):
            train("checkpoint_every=2")
    monkeypatch.setattr(provenance, "commit", lambda: "third")
    found = results(train("checkpoint_every=2"))
    assert (found["commit"], found["later_commits"]) == ("first", ["second", "third"])
    assert "began at commit first and resumes at third" in caplog.text


def test_a_changed_file_creates_another_run(train: Train, tiny_data: SimpleNamespace) -> None:
    own = Path("own.tsv").absolute()
    own.write_text(tiny_data.train.read_text())
    short = (f"data.train={own}", "trainer.max_steps=1")
    first = train(*short)
    assert train(*short).folder == first.folder
    own.write_text(own.read_text().replace("\t1\n", "\t0\n", 1))
    assert train(*short).folder != first.folder


@pytest.fixture
def published(train: Train, tiny_overrides: list[str]) -> Train:
    """Writes the files of a published set, with ``word`` in all texts, and runs on them."""

    def run(word: str, *overrides: str) -> SimpleNamespace:
        labels = ("entailment", "contradiction", "neutral")
        rows = [{"premise": f"{word} {i}", "hypothesis": "so", "label": labels[i % 3]} for i in range(48)]
        for name in ("train", "val"):
            path = Path("published", "CB", f"{name}.jsonl")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(map(json.dumps, rows)))
        mine = [override for override in tiny_overrides if not override.startswith("data")]
        options = ("data=cb", "data.rows=null", "data.max_length=16", "data.batch_size=4", "paths.data=published")
        return train(*mine, *options, "paths.output=runs", "checkpoint_every=1", *overrides, tiny=False)

    return run


def test_reusing_a_run_whose_files_have_changed_logs_it(published: Train, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        first = published("one", "trainer.max_steps=1")
        published("one", "trainer.max_steps=1")
    assert "finished before" in caplog.text
    assert "have changed" not in caplog.text
    again = published("two", "trainer.max_steps=1")
    assert again.folder == first.folder
    assert "on other rows than data=cb has now: its files have changed" in caplog.records[-1].message


def test_resuming_on_changed_files_is_refused(published: Train) -> None:
    with crashing_before(3):
        published("one")
    (folder,) = Path("runs").iterdir()
    before = (folder / "metrics.csv").read_text(), (folder / "last.ckpt").read_bytes()
    with pytest.raises(
        InputError, match=r"'cb' \(/.*/published/CB/train.jsonl, .*since this run began, but it has changed"
    ):
        published("two")
    assert ((folder / "metrics.csv").read_text(), (folder / "last.ckpt").read_bytes()) == before
    assert results(published("one"))["status"] == "completed"
    assert results(published("two", "force=true"))["status"] == "completed"
