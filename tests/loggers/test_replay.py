"""The stores of all loggers after a run was killed and resumed: each step once, as of a run that was not."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import kills
import pytest
import wandb
from wandb_file import wandb_records

from clsnorm.loggers.replay import logged_before

Train = Callable[..., SimpleNamespace]
Points = dict[str, list[tuple[int, float | str]]]
MOMENTS = (
    "TrainerFn.FITTING RunningStage.TRAINING step 3 on_before_optimizer_step",  # before the first resume point
    "TrainerFn.FITTING RunningStage.TRAINING step 9 on_before_optimizer_step",
    "TrainerFn.FITTING RunningStage.TRAINING step 10 on_train_end",
    "TrainerFn.TESTING RunningStage.TESTING pass 1 on_test_end",
)


def wandb_points(folder: Path) -> Points:
    found: Points = {}
    for path in folder.glob("wandb/offline-run-*/run-*.wandb"):
        for record in wandb_records(path):
            if record.HasField("history"):  # type: ignore[attr-defined]
                items = {"/".join(i.nested_key) or i.key: i.value_json for i in record.history.item}  # type: ignore[attr-defined]
                step = int(items.pop("_step"))
                for name, value in items.items():
                    if not name.startswith(("_", "cls/report/dimensions")):  # times, and a file
                        found.setdefault(name, []).append((step, value))
    return found


def tensorboard_points(folder: Path) -> Points:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: Points = {}
    for path in folder.rglob("events.out.tfevents.*"):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
    return found


def csv_points(folder: Path) -> Points:
    found: Points = {}
    for path in folder.rglob("metrics.csv"):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for name, cell in row.items():
                    if cell and name != "step":
                        found.setdefault(name, []).append((int(row["step"]), float(cell)))
    return found


def mlflow_points(folder: Path) -> Points:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder.parent}/mlflow.db")
    found: Points = {}
    for run in client.search_runs([one.experiment_id for one in client.search_experiments()]):
        for name in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, name)
            found.setdefault(name, []).extend((point.step, point.value) for point in history)
    return found


def of_lightning(kind: str) -> list[str]:
    return [f"+logger.own._target_=pytorch_lightning.loggers.{kind}", "+logger.own.save_dir=${paths.output}/own"]


LOGGERS = {
    "wandb": (["logger=wandb"], wandb_points),
    "tensorboard": (["logger=tensorboard"], tensorboard_points),
    "Lightning's CSVLogger": (of_lightning("CSVLogger"), lambda folder: csv_points(folder.parent / "own")),
    "Lightning's TensorBoardLogger": (
        of_lightning("TensorBoardLogger"),
        lambda folder: tensorboard_points(folder.parent / "own"),
    ),
    "mlflow": (["logger=mlflow"], mlflow_points),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOGGERS)
def test_a_killed_run_logs_the_same_as_an_undisturbed_one(
    train: Train, workspace: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # which MLflow sets when another store was read
    wandb.teardown()  # a service that all forks share would hold the run of the killed one
    options, points = LOGGERS[name]
    options = [*options, "callbacks=cls_statistics", "data.max_train_examples=72", "trainer.log_every_n_steps=1"]

    def work(output: str) -> None:
        train(*options, "checkpoint_every=3", f"paths.output={workspace}/{output}")

    assert kills.fork(lambda: work("whole")) == 0
    assert all(kills.killed_at(lambda: work("killed"), moment) for moment in MOMENTS)
    assert kills.fork(lambda: work("killed")) == 0
    whole, found = (
        points(next(path.parent for path in (workspace / output).rglob("results.json")))
        for output in ("whole", "killed")
    )
    del found["events/resumed"]
    assert found.keys() == whole.keys()
    for key in found.keys() - {"examples_per_second"}:
        assert sorted({*found[key]}, key=repr) == sorted({*whole[key]}, key=repr), key
        # Lightning logs the epoch twice in a step with a validation
        assert len(found[key]) <= len(whole[key]), key
    steps = [step for step, _ in found["train/loss"]]
    assert sorted(steps) == [*range(10)]


def test_what_was_logged_is_read_from_metrics_and_events(tmp_path: Path) -> None:
    metrics, events = tmp_path / "metrics.csv", tmp_path / "events.csv"
    assert logged_before(metrics, events) == {}
    metrics.write_text("step,a,b\n0,0.1,\n3,nan,2\n")
    events.write_text("step,rank,kind,place,value\n3,,spike,a,1\n1,0,spike,a,2\n3,,other,a,1\n")
    found = logged_before(metrics, events)
    assert json.loads(json.dumps({str(step): numbers for step, numbers in found.items()})) == {
        "0": {"a": 0.1},
        "1": {"events/spike": 2.0},
        "3": {"a": pytest.approx(float("nan"), nan_ok=True), "b": 2.0, "events/spike": 1.0, "events/other": 1.0},
    }
