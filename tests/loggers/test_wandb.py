"""W&B as an external logger: real files, read back."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from runs import crashing
from wandb_file import wandb_records

from clsnorm.errors import InputError
from clsnorm.loggers import WandbRun
from clsnorm.records import SelectedWeights

Train = Callable[..., SimpleNamespace]
SHORT = ("trainer.max_epochs=1", "callbacks=none")


def test_wandb_without_a_key_logs_offline(
    train: Train, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/nowhere")
    with caplog.at_level("INFO", logger="clsnorm"):
        first = train("logger=wandb", *SHORT)
        second = train("logger=wandb", "seed=1", *SHORT)
    assert caplog.text.count("no API key found") == 2
    assert "WANDB_MODE" not in os.environ
    for run in (first, second):  # two runs of one process, not merged into one
        (path,) = run.folder.glob("wandb/offline-run-*/run-*.wandb")
        records = list(wandb_records(path))
        keys = {"/".join(i.nested_key) or i.key for r in records if r.HasField("history") for i in r.history.item}
        assert {"train/loss", "select/accuracy", "report/accuracy"} <= keys
        (started,) = [record.run for record in records if record.HasField("run")]
        assert started.display_name == run.folder.name
        assert started.run_group == "adhoc"
        assert set(started.tags) == {"files", "identity"}
        (ended,) = [record.exit for record in records if record.HasField("exit")]
        assert ended.exit_code == 0


def test_summary_of_wandb_is_of_the_selected_weights(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(SelectedWeights, "_improves", lambda self, score: self.step < 0)  # the first validation's
    run = train("logger=wandb", "callbacks=none", "optimizer.lr=0.1", "trainer.max_epochs=2")
    (path,) = run.folder.glob("wandb/offline-run-*/run-*.wandb")
    summary: dict[str, object] = {}
    for record in wandb_records(path):
        if record.HasField("summary"):  # type: ignore[attr-defined]
            for item in record.summary.update:  # type: ignore[attr-defined]
                summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
    results = json.loads((run.folder / "results.json").read_text())
    assert results["selected_step"] < results["steps"]
    for key in ("status", "collapsed", "majority", "selected_step"):
        assert summary[key] == results[key]
    for name, value in results["metrics"].items():
        assert summary[name] == pytest.approx(value, nan_ok=True), name


def test_a_crash_is_reported_to_wandb(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from clsnorm.model import FineTuner

    monkeypatch.setenv("WANDB_MODE", "offline")
    with crashing(FineTuner, "on_validation_epoch_end"):
        train("logger=wandb", *SHORT)
    (path,) = Path("runs").glob("*/wandb/offline-run-*/run-*.wandb")
    (ended,) = [record.exit for record in wandb_records(path) if record.HasField("exit")]
    assert ended.exit_code == 1


def wandb_ids(folder: Path) -> set[str]:
    files = folder.glob("wandb/offline-run-*/run-*.wandb")
    return {r.run.run_id for path in files for r in wandb_records(path) if r.HasField("run")}  # type: ignore[attr-defined]


def test_a_resumed_run_reuses_its_wandb_run_and_a_new_one_does_not(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clsnorm.experiment import run as experiment

    monkeypatch.setenv("WANDB_MODE", "offline")
    with crashing(experiment, "conclude"):
        train("logger=wandb", *SHORT)
    (folder,) = Path("runs").iterdir()
    (before,) = wandb_ids(folder)
    assert wandb_ids(train("logger=wandb", *SHORT).folder) == {before}
    assert before not in wandb_ids(train("logger=wandb", "force=true", *SHORT).folder)
    assert before not in wandb_ids(train("logger=wandb", "paths.output=elsewhere", *SHORT).folder)


def test_wandb_that_is_missing_is_one_line(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "wandb" else original(name))
    with pytest.raises(InputError, match=r"pip install 'clsnorm\[wandb\]'"):
        train("logger=wandb", *SHORT)


WANDB = {"config": {"choices": {"data": "d", "normalizer": "n"}}, "project": "p", "entity": None, "group": "g"}


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        ({"mode": "onlin"}, "offline", "`logger.wandb.mode` .*'onlin'"),
        ({}, "foo", "WANDB_MODE to be one of online, offline, disabled, but got 'foo'"),
        ({"project": "a/b"}, "offline", "Invalid project name 'a/b'"),
        ({"tags": ["t" * 65]}, "offline", "Tags must be between 1 and 64"),
    ],
)
def test_options_that_wandb_would_refuse_are_refused_when_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], environment: str, words: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", environment)
    with pytest.raises(InputError, match=words):
        WandbRun(folder=tmp_path, **{**WANDB, "mode": None, "tags": [], **options})
    assert not list(tmp_path.iterdir())


def test_an_unreachable_wandb_server_switches_the_run_to_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    calls = []

    def init(**options: Any) -> SimpleNamespace:
        calls.append(options)
        if options["mode"] == "online":
            raise wandb.errors.CommError("no such host\nand more")
        return SimpleNamespace(log=lambda numbers, step: logged.append(numbers))

    logged: list[dict[str, float]] = []
    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb, "teardown", lambda: None)
    WandbRun(folder=tmp_path, **WANDB, mode="online", tags=[]).log_metrics({"loss": 1.0}, 3)
    assert [options["mode"] for options in calls] == ["online", "offline"]
    assert calls[0]["id"] == calls[1]["id"]
    assert not [options for options in calls if "anonymous" in options]
    assert logged == [{"loss": 1.0, "trainer/global_step": 3}]
    assert [record.message for record in caplog.records] == [
        "W&B: no such host. The run stays offline; `wandb sync` uploads it later"
    ]
