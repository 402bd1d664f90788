"""MLflow as an external logger: real stores, read back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from clsnorm.errors import InputError
from clsnorm.loggers import MlflowRun

Train = Callable[..., SimpleNamespace]
SHORT = ("trainer.max_epochs=1", "callbacks=none")


@pytest.mark.slow
def test_mlflow_and_tensorboard_together(train: Train) -> None:
    import mlflow

    run = train("logger=[mlflow,tensorboard]", *SHORT)
    mlflow.set_tracking_uri(f"sqlite:///{run.folder.parent}/mlflow.db")
    (row,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert row.info.status == "FINISHED"
    assert row.info.run_name == run.folder.name
    results = json.loads((run.folder / "results.json").read_text())
    for name, value in results["metrics"].items():
        assert row.data.metrics[name] == pytest.approx(value, nan_ok=True), name
    for name in ("collapsed", "majority", "selected_step", "examples_per_second"):
        assert row.data.metrics[name] == pytest.approx(float(results[name]))
    assert row.data.tags["status"] == "completed"
    assert float(row.data.params["optimizer/lr"]) == 3e-3
    assert list((run.folder / "tensorboard").iterdir())


@pytest.mark.slow
def test_a_refused_run_creates_no_mlflow_run(train: Train) -> None:
    with pytest.raises(InputError, match="batchnorm"):
        train("logger=mlflow", "normalizer=batchnorm", "data.max_train_examples=33", "callbacks=none")
    assert not Path("runs").exists()  # nor the store


@pytest.mark.slow
def test_a_store_unknown_to_mlflow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`logger\.mlflow\.tracking_uri`.*'foo://'"):
        MlflowRun(folder=tmp_path, config={}, experiment="e", tracking_uri="foo://")


@pytest.mark.slow
def test_an_mlflow_server_that_answers_is_accepted_and_a_silent_one_refused(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # answers 501 to all
        uri = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.handle_request, daemon=True).start()
        MlflowRun(folder=tmp_path, config={}, experiment="e", tracking_uri=uri)
    with pytest.raises(InputError, match=rf"`logger\.mlflow\.tracking_uri` {uri}, but none answers: .*refused"):
        MlflowRun(folder=tmp_path, config={}, experiment="e", tracking_uri=uri)
