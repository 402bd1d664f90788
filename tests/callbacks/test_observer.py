"""`Observer`: the services for its subclasses, and its timing."""

from __future__ import annotations

import copy
import io
import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from runs import wrap_hooks
from scripted_fit import At, fit, outputs

from clsnorm import progress
from clsnorm.callbacks import Observer, Progress
from clsnorm.experiment import assembly

ROOT = Path(__file__).parents[2]


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


def stored(observer: Observer) -> dict[str, Any]:
    """The state as a checkpoint would hold it."""
    buffer = io.BytesIO()
    torch.save(observer.state_dict(), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize(
    ("task", "normalizer", "more"),
    [
        ("classification", "dyt", {"Collapse", "Saturation"}),
        ("regression", "dyt", {"Saturation"}),
        ("classification", "batchnorm", {"Collapse", "TrainEvalGap"}),
    ],
)
def test_the_state_at_any_hook_holds_all_that_the_summary_needs(
    train: Callable[..., SimpleNamespace], task: str, normalizer: str, more: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract of all observers: from the first step to the end of the report pass."""
    every = [path.stem for path in (ROOT / "conf/callbacks").glob("*.yaml") if path.stem not in ("none", "default")]
    compared = Counter[str]()

    def watched(trainer: pl.Trainer, hook: str, proceed: Callable[[], Any]) -> Any:
        result = proceed()
        for observer in [one for one in trainer.callbacks if isinstance(one, Observer) and trainer.global_step]:
            fresh = copy.copy(blank[type(observer)])
            fresh.load_state_dict(stored(observer))
            assert repr(fresh.summary()) == repr(observer.summary()), (hook, observer)
            compared[type(observer).__name__] += bool(observer.summary())
        return result

    def build(config: dict[str, Any]) -> dict[str, Any]:
        blank.update({type(one): one for one in build_callbacks(config).values()})
        return build_callbacks(config)

    blank: dict[type, Any] = {}
    build_callbacks = assembly._build_callbacks
    monkeypatch.setattr(assembly, "_build_callbacks", build)
    wrap_hooks(watched, patch=monkeypatch.setattr)
    train(f"normalizer={normalizer}", f"data.task={task}", f"callbacks=[{','.join(every)}]", "trainer.max_epochs=1")
    expected = {"ClsStatistics", "GradientNorms", "Sharpness"} | more
    assert {name for name, count in compared.items() if count > 2} == expected


def test_an_observer_is_a_callback_without_events_or_numbers() -> None:
    assert isinstance(Observer(), Callback)
    assert (Observer().kinds, Observer().summary()) == ((), {})


def test_the_progress_bar_shows_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    items = {"v_num": 0, "train/loss": 0.5}
    monkeypatch.setattr(TQDMProgressBar, "get_metrics", lambda self, trainer, module: items)
    assert Progress(refresh_rate=1).get_metrics(None, None) == {"train/loss": 0.5}  # type: ignore[arg-type]


def test_off_a_terminal_progress_is_a_line_with_loss_and_score(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(Progress, "get_metrics", lambda *_: {"train/loss": 0.51234, "epoch": 1})
    caplog.set_level(logging.INFO, logger=progress.__name__)
    fit([outputs()] * 3, Progress(refresh_rate=1), enable_progress_bar=True)
    assert [re.sub("about .* left", "some left", line) for line in caplog.messages if line.startswith("Training")] == [
        f"Training: {step} of 3, some left, train/loss 0.512" for step in (1, 2, 3)
    ]
    assert "it/s" not in "".join(capsys.readouterr())


def test_an_error_is_not_printed_behind_the_progress_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    def crash(trainer: object) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fit([outputs()] * 3, Progress(refresh_rate=1), At(1, crash), enable_progress_bar=True)
    captured = capsys.readouterr()
    assert (captured.out + captured.err).endswith("\n")
