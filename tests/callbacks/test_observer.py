"""`Observer`: the services for its subclasses, and its timing."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from scripted_fit import At, fit, outputs

from clsnorm.callbacks import Observer, Progress


class Slow(Observer):
    """Sleeps for 20 ms in each of its methods."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.step()
        time.sleep(0.02)

    def step(self) -> None:
        time.sleep(0.02)

    def on_validation_outputs(self, pl_module: Any, outputs: Any) -> None:
        self.seen.append(outputs)
        time.sleep(0.02)


def test_calls_are_timed_and_calls_within_calls_count_once() -> None:
    observer: Any = Slow()
    assert observer.seconds == {"steps": 0.0, "passes": 0.0}
    started = time.perf_counter()
    observer.on_train_batch_end()
    assert 0.04 <= observer.seconds["steps"] <= time.perf_counter() - started
    assert observer.seconds["passes"] == 0.0


def test_validation_outputs_come_from_lightnings_hook_and_count_as_a_pass() -> None:
    observer: Any = Slow()
    observer.on_validation_batch_end(None, None, {"h": 1}, None, 0)
    assert observer.seen == [{"h": 1}]
    assert observer.seconds["passes"] >= 0.02
    assert observer.seconds["steps"] == 0.0


def test_data_and_classifier_are_those_of_the_run() -> None:
    trainer: Any = SimpleNamespace(datamodule="data")
    module: Any = SimpleNamespace(classifier="classifier")
    assert (Observer.data(trainer), Observer.classifier(module)) == ("data", "classifier")  # type: ignore[comparison-overlap]


def test_an_observer_is_a_callback_without_events_or_numbers() -> None:
    assert isinstance(Observer(), Callback)
    assert (Observer().kinds, Observer().summary()) == ((), {})


def test_the_progress_bar_shows_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    items = {"v_num": 0, "train/loss": 0.5}
    monkeypatch.setattr(TQDMProgressBar, "get_metrics", lambda self, trainer, module: items)
    assert Progress(refresh_rate=1).get_metrics(None, None) == {"train/loss": 0.5}  # type: ignore[arg-type]


def test_an_error_is_not_printed_behind_the_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    def crash(trainer: object) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fit([outputs()] * 3, Progress(refresh_rate=1), At(1, crash), enable_progress_bar=True)
    captured = capsys.readouterr()
    assert (captured.out + captured.err).endswith("\n")
