"""Recalibration in whole runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runs import crashing_before, metrics, results, weights

from clsnorm.errors import InputError
from clsnorm.experiment.recalibration import Recalibration
from clsnorm.run_folder import RunFolder

Train = Callable[..., SimpleNamespace]


SHORT = ("data.max_train_examples=64", "callbacks=none")


MATCHED = ("normalizer=zca_whitening", "classifier.init=function_matched", "classifier.match_step=both", *SHORT)


@pytest.mark.parametrize("batch", [5, 8, 11])
def test_a_matched_and_recalibrated_run_resumes_bit_equal(train: Train, batch: int) -> None:
    overrides = (*MATCHED, "classifier.recalibrate_every=1", "trainer.max_epochs=3", "checkpoint_every=1")
    whole = train(*overrides)
    expected, numbers = weights(whole), metrics(whole)
    shutil.rmtree(whole.folder)
    with crashing_before(batch):
        train(*overrides)
    resumed = train(*overrides)
    assert all(torch.equal(value, expected[name]) for name, value in weights(resumed).items())
    assert metrics(resumed)["head/weight_rate"] == numbers["head/weight_rate"] != 1


def test_recalibration_follows_the_encoder(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    original = Recalibration.on_train_epoch_start

    def count(self: Recalibration, trainer: Any, module: Any) -> None:
        before = module.classifier.normalizer.location.clone()
        original(self, trainer, module)
        counts.append(int(not torch.equal(before, module.classifier.normalizer.location)))

    monkeypatch.setattr(Recalibration, "on_train_epoch_start", count)
    once = train("normalizer=standardize", "trainer.max_epochs=1", *SHORT)
    counts.clear()
    run = train("normalizer=standardize", "classifier.recalibrate_every=2", "trainer.max_epochs=5", *SHORT)
    assert counts == [0, 0, 1, 0, 1]
    events = [row for row in RunFolder(run.folder).read_events() if row["kind"] == "recalibrated"]
    assert len(events) == 2
    cost = results(run)["calibration_seconds"]
    first = results(once)["calibration_seconds"]
    assert cost == pytest.approx(first + sum(float(row["value"]) for row in events), abs=2e-3)
    counts.clear()
    train("normalizer=standardize", "trainer.max_epochs=3", *SHORT)
    assert counts == [0, 0, 0]
    with pytest.raises(InputError, match="recalibrate_every` to be null or a whole number of at least 1"):
        train("normalizer=standardize", "classifier.recalibrate_every=0", *SHORT)
    with pytest.raises(InputError, match=r"a calibrated normalizer for classifier\.recalibrate_every=1, but LayerNorm"):
        train("normalizer=layernorm", "classifier.recalibrate_every=1", *SHORT)
