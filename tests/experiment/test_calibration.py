"""Calibration: the whole training split once, dropout off, cached by content."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from clsnorm.data import DataModule

Train = Callable[..., SimpleNamespace]
SHORT = ("normalizer=standardize", "trainer.max_epochs=1", "callbacks=none")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets the size of the training split once per pass of a calibration."""
    counted: list[int] = []
    original = DataModule.calibration_dataloader

    def count(self: DataModule) -> Any:
        counted.append(self.train_size)
        return original(self)

    monkeypatch.setattr(DataModule, "calibration_dataloader", count)
    return counted


def normalizer_state(run: SimpleNamespace) -> dict[str, torch.Tensor]:
    state = torch.load(run.folder / "selected.ckpt", weights_only=True)["state_dict"]
    return {key: value for key, value in state.items() if "normalizer" in key}


def test_same_content_is_calibrated_once(train: Train, passes: list[int]) -> None:
    first = normalizer_state(train(*SHORT))
    again = normalizer_state(train(*SHORT, "optimizer.lr=1e-3", "seed=5"))
    assert len(passes) == 1
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)


@pytest.mark.parametrize("change", ["data.max_train_examples=60", "model.tap=pooler", "data.max_length=8"])
def test_other_content_is_calibrated_again(train: Train, passes: list[int], change: str) -> None:
    train(*SHORT)
    train(*SHORT, change)
    assert len(passes) == 2


def test_a_cached_calibration_is_charged_its_original_cost(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def figures(run: SimpleNamespace) -> tuple[float, float]:
        results = json.loads((run.folder / "results.json").read_text())
        return results["calibration_seconds"], results["seconds"]

    from clsnorm.experiment import calibration

    original = calibration.accumulate

    def slow(*arguments: Any) -> None:
        time.sleep(1.5)
        original(*arguments)

    monkeypatch.setattr(calibration, "accumulate", slow)
    cost, whole = figures(train(*SHORT))
    again, cached = figures(train(*SHORT, "seed=5"))
    assert again == cost > 1.5
    assert cached > 1.5
    assert whole > 1.5
    assert figures(train("normalizer=layernorm", *SHORT[1:]))[0] == 0.0


def test_a_frozen_normalizer_is_never_touched_by_training(train: Train) -> None:
    short = normalizer_state(train(*SHORT))
    longer = normalizer_state(train(*SHORT[:1], "callbacks=none", "trainer.max_epochs=3"))
    assert all(torch.equal(short[key], longer[key]) for key in short)


def test_a_normalizer_without_calibration_is_not_calibrated(train: Train, passes: list[int], workspace: Path) -> None:
    train("normalizer=layernorm", *SHORT[1:])
    assert not passes
    assert not list((workspace / "cache").glob("calibrations/*"))


def test_a_damaged_cache_is_replaced(train: Train, passes: list[int], workspace: Path) -> None:
    first = normalizer_state(train(*SHORT))
    (path,) = (workspace / "cache" / "calibrations").glob("*/*.pt")
    sound = path.read_bytes()
    for number, damaged in enumerate((b"", sound[: len(sound) // 2], b"something else")):
        path.write_bytes(damaged)
        again = normalizer_state(train(*SHORT, f"seed={20 + number}"))
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert path.read_bytes() == sound
    assert len(passes) == 4


def test_the_head_absorbs_the_mean_of_the_training_split(train: Train, passes: list[int]) -> None:
    start = ("trainer.max_epochs=1", "optimizer.lr=1e-30", "callbacks=none", "classifier.init_std=0.5")
    plain, absorbing = train(*start), train(*start, "classifier.absorb_mean=true")
    assert len(passes) == 1
    train(*start, "classifier.absorb_mean=true", "normalizer=center")  # needs the same statistics
    assert len(passes) == 1
    moments = next(plain.folder.parent.parent.rglob("calibrations")).rglob("state.pt")
    state = torch.load(next(moments), weights_only=True)
    heads = [torch.load(run.folder / "selected.ckpt", weights_only=True)["state_dict"] for run in (plain, absorbing)]
    (weight, other), (before, after) = (
        [head[f"classifier.head.{name}"].double() for head in heads] for name in ("weight", "bias")
    )
    assert torch.equal(weight, other)
    mean = state["shift"] + state["sum"] / state["count"]
    torch.testing.assert_close(after, before - weight @ mean, atol=1e-5, rtol=1e-5)
    assert after.abs().max() > 0.1
