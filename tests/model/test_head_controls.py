"""Controls of the head in whole runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runs import crashing_before, metrics, weights

import clsnorm
from clsnorm.errors import InputError
from clsnorm.model import FineTuner

Train = Callable[..., SimpleNamespace]
SHORT = ("data.max_train_examples=64", "callbacks=none")
MATCHED = ("normalizer=zca_whitening", "classifier.init=function_matched", "classifier.match_step=both", *SHORT)


PARTS = ("specific", "common")


def test_measurements_are_in_the_results(train: Train) -> None:
    identity, plain, matched = (metrics(train(*o)) for o in (SHORT, ("normalizer=zca_whitening", *SHORT), MATCHED))
    for part in (*PARTS, "total"):
        own = identity[f"head/{part}_step"]
        assert own == identity[f"head/{part}_step_unmatched"] == identity[f"head/{part}_step_of_identity"] > 0
        assert plain[f"head/{part}_step_of_identity"] == matched[f"head/{part}_step_of_identity"] == own
        assert plain[f"head/{part}_step"] == plain[f"head/{part}_step_unmatched"] != own
    for part in PARTS:
        assert matched[f"head/{part}_step"] == pytest.approx(identity[f"head/{part}_step"], rel=1e-4)
    assert {identity["head/weight_rate"], identity["head/bias_rate"], plain["head/weight_rate"]} == {1}
    assert identity["head/dropout"] == plain["head/dropout"] == pytest.approx(0.1)
    assert matched["head/noise_over_signal"] == pytest.approx(identity["head/noise_over_signal"], rel=1e-4)
    assert matched["head/dropout"] != pytest.approx(0.1, rel=0.01)


def test_the_identity_trains_to_the_bit_as_without_matching(train: Train) -> None:
    plain, matched = train(*SHORT), train(*SHORT, "classifier.match_step=both")
    expected = weights(plain)
    assert all(torch.equal(value, expected[name]) for name, value in weights(matched).items())
    assert metrics(matched) == metrics(plain)


def first_movement(train: Train, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> list[float]:
    """Returns the specific and the common part of the logits' movement by a run's first step, on its only batch."""
    seen: dict[str, Any] = {}
    original = FineTuner.training_step

    def start(self: Any, *arguments: Any) -> Any:
        output = original(self, *arguments)
        seen.setdefault("start", (output["z"], *(p.detach().clone() for p in self.classifier.head.parameters())))
        return output

    def end(self: Any, *_: Any) -> None:
        seen.setdefault("end", [p.detach().clone() for p in self.classifier.head.parameters()])

    with monkeypatch.context() as patch:
        patch.setattr(FineTuner, "training_step", start)
        patch.setattr(FineTuner, "on_train_batch_end", end, raising=False)
        train(*overrides)
    (z, weight, bias), (later_weight, later_bias) = seen["start"], seen["end"]
    moved = z @ (later_weight - weight).T + later_bias - bias
    moved = moved - moved.mean(1, keepdim=True)
    return [float((moved - moved.mean(0)).norm()), float(moved.mean(0).norm())]


@pytest.mark.parametrize("optimizer", [("optimizer=adamw",), ("optimizer=sgd", "trainer.gradient_clip_val=null")])
@pytest.mark.parametrize("normalizer", ["zca_whitening", "rotation", "layernorm"])
def test_a_run_s_first_step_moves_both_parts_as_with_identity(
    train: Train, monkeypatch: pytest.MonkeyPatch, optimizer: tuple[str, ...], normalizer: str
) -> None:
    one_batch = ("data.max_train_examples=32", "data.batch_size=32", "trainer.max_epochs=1", "scheduler=constant")
    quiet = (*one_batch, *optimizer, "model.dropout=0", "classifier.dropout=0", "callbacks=none", "optimizer.lr=1e-2")
    identity = first_movement(train, monkeypatch, *quiet, "normalizer=identity")
    matched = ("classifier.match_step=both", f"normalizer={normalizer}")
    assert first_movement(train, monkeypatch, *quiet, *matched) == pytest.approx(identity, rel=0.01)
    if normalizer != "layernorm":
        plain = first_movement(train, monkeypatch, *quiet, f"normalizer={normalizer}")
        assert plain != pytest.approx(identity, rel=0.1)


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


def test_a_run_s_optimizer_has_the_matched_rates(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[dict[str, float], list[float]]] = []
    original = FineTuner.configure_optimizers

    def configure(self: Any) -> Any:
        configured = original(self)
        of = {id(p): group["initial_lr"] for group in configured["optimizer"].param_groups for p in group["params"]}
        base, head = of[id(next(self.classifier.encoder.parameters()))], self.classifier.head
        rates = {"weight": of[id(head.weight)] / base, "bias": of[id(head.bias)] / base}
        seen.append((rates, self.classifier.matching.rates.tolist()))
        return configured

    monkeypatch.setattr(FineTuner, "configure_optimizers", configure)
    options = ("~optimizer.layer_decay", "~optimizer.head_lr_factor", "optimizer._target_=torch.optim.AdamW")
    for chosen in ((), options):
        train(*MATCHED, *chosen)
    for rates, wanted in seen:
        assert [rates["weight"], rates["bias"]] == pytest.approx(wanted)
        assert rates["weight"] != 1 != rates["bias"]


@pytest.mark.parametrize("batch", [2, 5])
def test_a_matched_run_resumes_bit_equal(train: Train, batch: int) -> None:
    overrides = (*MATCHED, "trainer.max_epochs=2", "checkpoint_every=1")
    whole = train(*overrides)
    expected, numbers = weights(whole), metrics(whole)
    shutil.rmtree(whole.folder)
    with crashing_before(batch):
        train(*overrides)
    resumed = train(*overrides)
    assert all(torch.equal(value, expected[name]) for name, value in weights(resumed).items())
    assert metrics(resumed) == numbers


def test_training_uses_the_matched_dropout(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    original = FineTuner.training_step

    def step(self: Any, *arguments: Any) -> Any:
        seen.append(self.classifier.dropout.p)
        return original(self, *arguments)

    monkeypatch.setattr(FineTuner, "training_step", step)
    wanted = metrics(train(*MATCHED))["head/dropout"]
    assert seen == pytest.approx([wanted] * len(seen))
    assert seen


def test_the_old_name_is_refused_with_the_new_one(command: Callable[..., Any]) -> None:
    done = command("classifier.rate_matched=true")
    assert done.returncode == 2
    assert "`classifier.rate_matched`. It is now classifier.match_step=total" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_run_of_before_match_step_is_loaded(train: Train) -> None:
    run = train("normalizer=layernorm", *SHORT)
    config = run.folder / "config.yaml"
    text = config.read_text()
    old = text.replace("  match_step: none\n", "  rate_matched: true\n").replace("  match_noise: null\n", "")
    assert "match_step" not in old
    assert "match_noise" not in old
    config.write_text(old)
    loaded = clsnorm.load_run(run.folder)
    assert loaded.config["classifier"]["match_step"] == "total"
    assert not loaded.classifier.matching.match_noise


@pytest.mark.slow
@pytest.mark.parametrize("normalizer", ["zca_whitening", "rotation"])
@pytest.mark.parametrize("trainer", [("trainer=ddp_cpu",), ("trainer=fsdp", "trainer.accelerator=cpu")])
def test_two_processes_match_as_one(train: Train, trainer: tuple[str, ...], normalizer: str) -> None:
    steady = ("model.dropout=0.0", "classifier.dropout=0.0", "trainer.max_epochs=1", "data.batch_size=7")
    steady += ("optimizer.lr=1e-2", "optimizer.eps=1")  # else Adam takes steps on the signs of rounding errors
    one = train(*MATCHED, *steady, f"normalizer={normalizer}")
    two = train(*MATCHED, *steady, f"normalizer={normalizer}", *trainer, "trainer.devices=2", "paths.output=two")
    numbers, others = metrics(one), metrics(two)
    for name in (name for name in numbers if name.startswith("head/")):
        assert others[name] == pytest.approx(numbers[name], rel=1e-3), name
    # Whitened embeddings have the mean 0, so their shift consists of rounding errors; rotated ones have a real shift.
    rounding = {"classifier.matching.shift": 1e-3} if normalizer == "zca_whitening" else {}
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(two)[name], value, rtol=1e-3, atol=rounding.get(name, 1e-5), msg=name)
    assert rounding or weights(one)["classifier.matching.shift"].abs().max() > 0.01
