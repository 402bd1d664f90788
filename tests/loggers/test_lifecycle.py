"""Which loggers a run builds, and how it closes them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.logger import DummyLogger

from clsnorm.errors import InputError
from clsnorm.loggers import RunLogger
from clsnorm.loggers.lifecycle import build_loggers, close_loggers

Train = Callable[..., SimpleNamespace]


class Own(RunLogger, DummyLogger):
    def __init__(self, *, folder: Path, config: dict[str, Any], colour: str = "red") -> None:
        DummyLogger.__init__(self)
        self.given = folder, config, colour
        self.closed: list[Any] = []

    def close(self, results: Any) -> None:
        self.closed.append(results)


class Stranger(DummyLogger):
    def __init__(self, folder: Path) -> None:
        super().__init__()


class Uninstalled(DummyLogger):
    def __init__(self) -> None:
        raise ModuleNotFoundError("No module named 'comet_ml'")


@pytest.fixture(autouse=True)
def _admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLSNORM_PACKAGES", __name__.partition(".")[0])


def build(name: str, run_folder: Path, **arguments: Any) -> Any:
    config = {"logger": {"own": {"_target_": f"{__name__}.{name}", **arguments}}}
    return build_loggers(config, run_folder)["own"], config


def test_a_run_logger_is_given_folder_and_config_and_closed_with_results(tmp_path: Path) -> None:
    logger, config = build("Own", tmp_path, colour="blue")
    assert logger.given == (tmp_path, config, "blue")
    close_loggers([logger], {"status": "completed"})
    close_loggers([logger], None)
    assert logger.closed == [{"status": "completed"}, None]


@pytest.mark.parametrize(("results", "status"), [({}, "success"), (None, "failed")])
def test_another_logger_is_finalized(tmp_path: Path, results: Any, status: str) -> None:
    found: list[str] = []
    logger = CSVLogger(tmp_path)
    logger.finalize = found.append  # type: ignore[method-assign]
    close_loggers([logger], results)
    assert found == [status]


def test_loggers_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"logger\.own: .*'folder'.*only subclasses of clsnorm\.loggers\.RunLogger"):
        build("Stranger", tmp_path)
    with pytest.raises(InputError, match=r"logger\.own: .*Uninstalled needs a package .*comet_ml"):
        build("Uninstalled", tmp_path)
    with pytest.raises(InputError, match=r"logger\.own\.folder` to be left out"):
        build("Own", tmp_path, folder="here")


def test_a_run_logs_to_lightnings_own_logger(train: Train, workspace: Path) -> None:
    train(
        "trainer.max_epochs=1",
        "+logger.csv._target_=pytorch_lightning.loggers.CSVLogger",
        f"+logger.csv.save_dir={workspace}/csv",
    )
    (path,) = (workspace / "csv").rglob("metrics.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert any(row["train/loss"] for row in rows)
    assert any(row["report/accuracy"] for row in rows)
