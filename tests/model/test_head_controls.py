"""Controls of the head and recalibration in whole runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runs import crashing_before, metrics, results, weights

from clsnorm.errors import InputError
from clsnorm.experiment.recalibration import Recalibration
from clsnorm.model import FineTuner
from clsnorm.run_folder import RunFolder

Train = Callable[..., SimpleNamespace]
SHORT = ("data.max_train_examples=64", "callbacks=none")
MATCHED = ("normalizer=zca_whitening", "classifier.init=function_matched", "classifier.rate_matched=true", *SHORT)


def test_first_steps_are_in_the_results(train: Train) -> None:
    identity, plain, matched = (metrics(train(*o)) for o in (SHORT, ("normalizer=zca_whitening", *SHORT), MATCHED))
    assert identity["head/first_step"] == identity["head/first_step_of_identity"] > 0
    assert identity["head/rate"] == plain["head/rate"] == 1
    assert plain["head/first_step_of_identity"] == identity["head/first_step"]
    assert matched["head/first_step"] * matched["head/rate"] == pytest.approx(identity["head/first_step"], rel=1e-5)


def first_losses(train: Train, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> float:
    seen: list[float] = []
    original = FineTuner.training_step

    def step(self: Any, *arguments: Any) -> Any:
        output = original(self, *arguments)
        seen.append(float(output["loss"].detach()))
        return output

    with monkeypatch.context() as patch:
        patch.setattr(FineTuner, "training_step", step)
        train(*overrides, "model.dropout=0.0", "classifier.dropout=0.0", *SHORT)
    return seen[0]


def test_a_function_matched_run_starts_where_identity_starts(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    large = "classifier.init_std=0.5"  # so that losses at the start differ visibly
    identity = first_losses(train, monkeypatch, large)
    drawn = first_losses(train, monkeypatch, "normalizer=zca_cor", large)
    matched = first_losses(train, monkeypatch, "normalizer=zca_cor", large, "classifier.init=function_matched")
    assert matched == pytest.approx(identity, abs=1e-4)
    assert abs(drawn - identity) > 1e-2


def test_a_refused_match_leaves_nothing_behind(train: Train, workspace: Path) -> None:
    with pytest.raises(InputError, match="keeps 31 of 32 directions"):
        train("normalizer=abtt", "classifier.init=function_matched", *SHORT)
    assert not list(workspace.glob("runs/*"))


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
    assert metrics(resumed)["head/rate"] == numbers["head/rate"] != 1


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


def test_an_optimizer_of_torch_is_given_the_matched_rate(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, float]] = []
    original = FineTuner.configure_optimizers

    def configure(self: Any) -> Any:
        configured = original(self)
        rates = {id(p): group["initial_lr"] for group in configured["optimizer"].param_groups for p in group["params"]}
        head, encoder = self.classifier.head.weight, next(self.classifier.encoder.parameters())
        seen.append({"factor": rates[id(head)] / rates[id(encoder)], "rate": float(self.classifier.head_rate)})
        return configured

    monkeypatch.setattr(FineTuner, "configure_optimizers", configure)
    options = ("~optimizer.layer_decay", "~optimizer.head_lr_factor", "optimizer._target_=torch.optim.AdamW")
    for chosen in ((), options):
        train(*MATCHED, *chosen)
    for numbers in seen:
        assert numbers["factor"] == pytest.approx(numbers["rate"])
        assert numbers["rate"] != 1
