"""Controls of the head in whole runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from runs import metrics

from clsnorm.errors import InputError
from clsnorm.model import FineTuner

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
