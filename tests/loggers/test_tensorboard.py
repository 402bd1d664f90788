"""TensorBoard as an external logger: real files, read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from clsnorm.errors import InputError
from clsnorm.loggers import TensorBoardRun

Train = Callable[..., SimpleNamespace]
SHORT = ("trainer.max_epochs=1", "callbacks=none")


def test_tensorboard_events_can_be_read(train: Train) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train("logger=tensorboard", *SHORT)
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    assert {"train/loss", "select/accuracy", "report/accuracy"} <= set(events.Tags()["scalars"])
    assert events.Scalars("select/accuracy")[-1].value == pytest.approx(run.score)


def test_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'clsnorm\[tensorboard\]'"):
        TensorBoardRun(folder=Path(), config={})
