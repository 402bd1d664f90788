"""Processes that get no row of a batch: in all passes, with all observers, and in the report of several processes."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from clsnorm.experiment import assembly, job
from clsnorm.records import report_predictions

ALL = "callbacks=[cls_statistics,collapse,saturation,gradient_norms]"
Train = Callable[..., SimpleNamespace]


def rows(count: int, *, kind: str) -> str:
    draw = random.Random(count)
    lines = ["text,other,label"]
    for row in range(count):
        words = " ".join(draw.choice(("bad", "dull", "good", "fine")) for _ in range(draw.randint(1, 6)))
        label = f"{draw.random():.3f}" if kind == "regression" else ("neg", "pos")[row % 2]
        lines.append(f"{words} {row},{words[::-1]} x{row},{label}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def files(workspace: Path, tiny_bert: Path) -> Callable[..., list[str]]:
    """Returns a function from the kind of data, and the rows of each split, to overrides."""

    def files(kind: str, **sizes: int) -> list[str]:
        counts = {"train": 7, "select": 5, "report": 5} | sizes
        for split, count in counts.items():
            (workspace / f"{split}_{kind}{count}.csv").write_text(rows(count, kind=kind))
        return [
            *(f"data.{split}={workspace}/{split}_{kind}{count}.csv" for split, count in counts.items()),
            f"data.text={'[text,other]' if kind == 'pairs' else 'text'}",
            "data.label=label",
            f"data.task={'regression' if kind == 'regression' else 'classification'}",
            "data.batch_size=3",
            "data.eval_batch_size=4",
            "trainer.max_epochs=1",
            "trainer.log_every_n_steps=1",
        ]

    return files


@pytest.fixture
def last_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a run see only what the last of four processes gets: one row of the first four, none of the fifth."""
    build_data = assembly.build_data

    def build(*arguments: Any, **named: Any) -> Any:
        data = build_data(*arguments, **named)
        data.batching = dataclasses.replace(data.batching, rank=3, world_size=4)
        return data

    monkeypatch.setattr(assembly, "build_data", build)


@pytest.mark.usefixtures("last_of_four")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("classes", [ALL, "callbacks.cls_statistics.layers=true", "callbacks.cls_statistics.every=1"]),
        ("classes", [ALL, "model.tap=pooler", "data.packed=false", "trainer.accumulate_grad_batches=2"]),
        ("classes", [ALL, "normalizer=zca_whitening", "classifier.recalibrate_every=1", "trainer.max_epochs=2"]),
        ("classes", ["callbacks=none", "classifier=cosine", "data.num_workers=1"]),
        ("regression", [ALL, "normalizer=quantile"]),
        ("pairs", [ALL, "normalizer=layernorm", "trainer.precision=bf16-mixed"]),
    ],
)
def test_every_pass_takes_parts_without_rows(
    train: Train, files: Callable[..., list[str]], kind: str, options: list[str]
) -> None:
    run = train(*files(kind), *options)
    results = json.loads((run.folder / "results.json").read_text())
    assert results["status"] == "completed"
    table = pd.read_parquet(run.folder / "predictions.parquet")
    assert table.example_id.tolist() == [3]  # of 0 to 3; the second batch has example 4 alone
    assert results["metrics"]["report/loss"] > 0


class ClaimedError(Exception):
    """The folder of a run is ready for its workers."""


@pytest.fixture
def claim(train: Train, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Returns the folder of a run of several processes, up to where these would start."""

    def launch(folder: Path, **options: Any) -> None:
        raise ClaimedError(folder)

    monkeypatch.setattr(job, "launch", launch)
    monkeypatch.setattr(job, "count_processes", lambda settings, **_: settings["devices"])  # more than there are cores

    def claim(*overrides: str, devices: int, where: str, sharded: bool = False) -> Path:
        strategy = [f"trainer={'fsdp' if sharded else 'ddp_cpu'}", "trainer.accelerator=cpu", "trainer.max_epochs=1"]
        with pytest.raises(ClaimedError) as caught:
            train(*overrides, *strategy, f"trainer.devices={devices}", f"paths.output={where}")
        return Path(caught.value.args[0])

    return claim


def run_all(folders: list[Path], *, devices: int) -> None:
    """Trains the runs on as many processes as ``devices``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    worker = Path(__file__).parents[1] / "helpers" / "runs_worker.py"
    words = [str(devices), str(port), *map(str, folders)]
    workers = [subprocess.Popen([sys.executable, worker, str(rank), *words]) for rank in range(devices)]
    assert [process.wait(timeout=300) for process in workers] == [0] * devices


def outcome(folder: Path) -> tuple[pd.DataFrame, dict[str, float]]:
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    return pd.read_parquet(folder / "predictions.parquet"), metrics


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 3, 4])
def test_any_number_of_rows_on_any_number_of_processes(
    train: Train, files: Callable[..., list[str]], claim: Callable[..., Path], devices: int
) -> None:
    """Batches of 4 leave 1, 2 or 3 rows, batches are of 1 row, or a split has fewer rows than there are processes."""
    common = [
        "model.dropout=0",
        "classifier.dropout=0",
        "optimizer.eps=0.01",
        ALL,
        "callbacks.cls_statistics.layers=true",
    ]
    runs = [
        [*files("classes", report=5), *common],
        [*files("classes", report=6, train=5), *common, "data.batch_size=1", "data.eval_batch_size=1"],
        [*files("pairs", report=2, select=2, train=2), *common],
        [*files("regression", report=7, select=6), *common],
    ]
    folders = [(claim(*run, devices=devices, where=f"ddp{number}"), number) for number, run in enumerate(runs)]
    folders += [
        (claim(*runs[number], devices=devices, where=f"fsdp{number}", sharded=True), number) for number in (0, 3)
    ]
    run_all([folder for folder, _ in folders], devices=devices)
    expected = [outcome(train(*run, "paths.output=one").folder) for run in runs]
    for folder, number in folders:
        (table, metrics), (table_of_one, metrics_of_one) = outcome(folder), expected[number]
        pd.testing.assert_frame_equal(table, table_of_one, rtol=1e-3, atol=1e-4)
        assert metrics.keys() == metrics_of_one.keys()
        wrong = {
            name: (metrics[name], value) for name, value in metrics_of_one.items() if not near(metrics[name], value)
        }
        assert wrong == {}, folder


def near(found: float | None, expected: float | None) -> bool:
    """Whether both are undefined, or equal up to the float errors of a few steps."""
    if found is None or expected is None:
        return found is expected
    return math.isclose(found, expected, rel_tol=1e-2, abs_tol=1e-3)


def test_a_run_that_crashed_in_its_report_pass_resumes(
    train: Train, files: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [*files("classes"), ALL]
    whole = train(*overrides, "paths.output=whole")
    with monkeypatch.context() as broken:
        broken.setattr(report_predictions, "predictions", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(*overrides, "paths.output=cut")
    cut = train(*overrides, "paths.output=cut")
    assert not (cut.folder / "error.json").exists()
    pd.testing.assert_frame_equal(outcome(cut.folder)[0], outcome(whole.folder)[0], check_exact=True)
    found, expected = (scores(outcome(run.folder)[1]) for run in (cut, whole))
    assert found == expected
    assert {"select/loss", "report/loss", "last/report/loss"} & found.keys()


def scores(metrics: dict[str, float]) -> dict[str, float]:
    return {k: v for k, v in metrics.items() if k.startswith(("select/", "report/", "last/report/"))}
