"""External loggers beside metrics.csv: real files, read back."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from clsnorm.errors import InputError
from clsnorm.records import SelectedWeights, TensorBoardRun
from wandb_file import wandb_records

Train = Callable[..., SimpleNamespace]
SHORT = ("trainer.max_epochs=1", "callbacks=none")


def test_wandb_without_a_key_keeps_the_run_offline(
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


def test_crashed_run_is_told_to_wandb(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from clsnorm.model import FineTuner

    def explode(self: object, *arguments: object) -> None:
        raise RuntimeError("a wire came loose")

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(FineTuner, "on_validation_epoch_end", explode)
    with pytest.raises(RuntimeError, match="wire"):
        train("logger=wandb", *SHORT)
    (path,) = Path("runs").glob("*/wandb/offline-run-*/run-*.wandb")
    (ended,) = [record.exit for record in wandb_records(path) if record.HasField("exit")]
    assert ended.exit_code == 1


def test_tensorboard_events_can_be_read(train: Train) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train("logger=tensorboard", *SHORT)
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    assert {"train/loss", "select/accuracy", "report/accuracy"} <= set(events.Tags()["scalars"])
    assert events.Scalars("select/accuracy")[-1].value == pytest.approx(run.score)


@pytest.mark.slow
def test_mlflow_and_tensorboard_together(train: Train) -> None:
    import mlflow

    run = train("logger=[mlflow,tensorboard]", *SHORT)
    mlflow.set_tracking_uri(f"sqlite:///{run.folder.parent}/mlflow.db")
    (row,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert row.info.status == "FINISHED"
    assert row.info.run_name == run.folder.name
    assert row.data.metrics["select/accuracy"] == pytest.approx(run.score)
    assert list((run.folder / "tensorboard").iterdir())


def wandb_ids(folder: Path) -> set[str]:
    files = folder.glob("wandb/offline-run-*/run-*.wandb")
    return {r.run.run_id for path in files for r in wandb_records(path) if r.HasField("run")}  # type: ignore[attr-defined]


def test_a_resumed_run_keeps_its_wandb_run_and_a_new_one_has_its_own(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clsnorm import experiment

    def interrupted(*arguments: object) -> None:
        raise RuntimeError("a wire came loose")

    monkeypatch.setenv("WANDB_MODE", "offline")
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "_conclude", interrupted)
        with pytest.raises(RuntimeError, match="wire"):
            train("logger=wandb", *SHORT)
    (folder,) = Path("runs").iterdir()
    (before,) = wandb_ids(folder)
    assert wandb_ids(train("logger=wandb", *SHORT).folder) == {before}
    assert before not in wandb_ids(train("logger=wandb", "force=true", *SHORT).folder)
    assert before not in wandb_ids(train("logger=wandb", "paths.output=elsewhere", *SHORT).folder)


@pytest.mark.slow
def test_a_refused_run_leaves_none_in_mlflow(train: Train) -> None:
    import mlflow

    with pytest.raises(InputError, match="batchnorm"):
        train("logger=mlflow", "normalizer=batchnorm", "data.max_train_examples=33", "callbacks=none")
    mlflow.set_tracking_uri(f"sqlite:///{Path('runs').absolute()}/mlflow.db")
    assert not mlflow.search_runs(search_all_experiments=True, output_format="list")


def test_wandb_that_is_missing_is_one_line(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "wandb" else original(name))
    with pytest.raises(InputError, match=r"pip install 'clsnorm\[wandb\]'"):
        train("logger=wandb", *SHORT)


def test_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'clsnorm\[tensorboard\]'"):
        TensorBoardRun(folder=Path(), config={})


def test_unknown_mode_of_wandb(train: Train) -> None:
    with pytest.raises(InputError, match="'onlin'"):
        train("logger=wandb", "logger.wandb.mode=onlin")
