"""The normalizer at the start only: folded into the head, or into the encoder's last layer norm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runs import crashing_before, weights
from torch import Tensor, nn

import clsnorm
from clsnorm.errors import InputError
from clsnorm.model import Classifier, CosineHead, Encoder, FineTuner
from clsnorm.model.head import fold_into, match_function
from clsnorm.normalizers import (
    AllButTheTop,
    BatchNorm,
    BiasDose,
    Identity,
    LayerNorm,
    LayerNormRefit,
    Normalizer,
    Rotation,
    Scale,
    Standardize,
    ZCAWhitening,
)

DIM, CLASSES = 24, 3
Train = Callable[..., SimpleNamespace]
SHORT = ("data.max_train_examples=64", "callbacks=none", "model.dropout=0.0", "classifier.dropout=0.0")
LARGE = "classifier.init_std=0.5"  # so that losses at the start differ visibly


def embeddings(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(9)) / DIM**0.5
    return torch.randn(count, DIM, generator=generator) @ mixing + torch.linspace(-2, 2, DIM)


def calibrated(normalizer: Normalizer) -> Normalizer:
    if normalizer.calibration is not None:
        accumulator = normalizer.calibration(DIM)
        accumulator.update(embeddings(200))
        normalizer.calibrate(accumulator)
    return normalizer


@pytest.mark.parametrize("kind", [Identity, Rotation, Standardize, ZCAWhitening, AllButTheTop, BiasDose])
def test_a_folded_head_computes_without_the_normalizer_what_it_did_with(kind: type[Normalizer]) -> None:
    torch.manual_seed(0)
    normalizer, head, h = calibrated(kind(DIM)), nn.Linear(DIM, CLASSES), embeddings(50, seed=1)
    drawn, expected = head.weight.clone(), head(normalizer(h))
    fold_into(head, normalizer)
    torch.testing.assert_close(head(h), expected, rtol=0, atol=1e-4)
    if kind in (ZCAWhitening, Standardize):  # the inverse of matching
        match_function(head, normalizer)
        torch.testing.assert_close(head.weight, drawn, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(LayerNorm, "divides each embedding by its own"), (BatchNorm, "takes its statistics from each training batch")],
)
def test_a_normalizer_that_does_not_fold_is_refused(kind: type[Normalizer], reason: str) -> None:
    head = nn.Linear(DIM, CLASSES)
    before = head.weight.clone()
    with pytest.raises(InputError, match=reason):
        fold_into(head, kind(DIM))
    assert torch.equal(head.weight, before)


def test_a_head_that_cannot_hold_the_shift_is_refused() -> None:
    with pytest.raises(InputError, match=r"a head with a bias for classifier\.init=normalizer_folded"):
        fold_into(nn.Linear(DIM, CLASSES, bias=False), calibrated(Standardize(DIM)))
    fold_into(nn.Linear(DIM, CLASSES, bias=False), Rotation(DIM))
    with pytest.raises(InputError, match=r"a linear head .* but got CosineHead"):
        fold_into(CosineHead(DIM, CLASSES), Rotation(DIM))


def build(tiny: Any, normalizer: Normalizer, **options: Any) -> Classifier:
    return Classifier(Encoder(tiny("bert")), normalizer, num_outputs=CLASSES, seed_init=0, **options)


def test_what_trains_or_changes_the_encoder_cannot_be_used_at_the_start_alone(tiny: Any) -> None:
    folded = {"init": "normalizer_folded"}
    with pytest.raises(InputError, match="Scale has parameters to train"):
        build(tiny, Scale(DIM, learned=True), **folded)
    with pytest.raises(InputError, match="LayerNormRefit changes the encoder"):
        build(tiny, LayerNormRefit(DIM), **folded)
    with pytest.raises(InputError, match="uses ZCAWhitening only before training"):
        build(tiny, ZCAWhitening(DIM), recalibrate_every=1, **folded)
    with pytest.raises(InputError, match="changes the encoder, once, before training"):
        build(tiny, LayerNormRefit(DIM), recalibrate_every=1)


def losses(train: Train, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> tuple[list[float], Any]:
    """Returns the loss of each training step, and what `train` does."""
    seen: list[float] = []
    original = FineTuner.training_step

    def step(self: Any, *arguments: Any) -> Any:
        output = original(self, *arguments)
        seen.append(float(output["loss"].detach()))
        return output

    with monkeypatch.context() as patch:
        patch.setattr(FineTuner, "training_step", step)
        run = train(*overrides, *SHORT)
    return seen, run


def test_the_start_is_the_normalizer_s_and_the_path_is_not(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    zca = ("normalizer=zca_cor", LARGE)
    with_map, _ = losses(train, monkeypatch, *zca)
    folded, run = losses(train, monkeypatch, *zca, "classifier.init=normalizer_folded")
    assert folded[0] == pytest.approx(with_map[0], abs=1e-4)
    assert max(abs(a - b) for a, b in zip(folded, with_map, strict=True)) > 1e-2
    loaded = clsnorm.load_run(run.folder)
    assert isinstance(loaded.classifier.normalizer, Identity)
    assert int(loaded.classifier.calibrated.examples) == 64
    details = json.loads((run.folder / "results.json").read_text())["normalizer_details"]
    assert details["examples"] == 64
    assert details["gain"] == pytest.approx(float(loaded.classifier.calibrated.gain))


def test_a_refitted_norm_starts_where_standardize_does(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    with_map, _ = losses(train, monkeypatch, "normalizer=standardize", LARGE)
    refit, run = losses(train, monkeypatch, "normalizer=ln_refit", LARGE)
    assert refit[0] == pytest.approx(with_map[0], abs=1e-4)
    assert max(abs(a - b) for a, b in zip(refit, with_map, strict=True)) > 1e-4
    norm = clsnorm.load_run(run.folder).classifier.encoder.final_norm()
    assert float((norm.weight.detach() - 1).abs().min()) > 1e-2  # the checkpoint has its new scale, which was 1


def test_a_refitted_norm_can_be_function_matched(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    identity, plain = losses(train, monkeypatch, LARGE)
    matched, run = losses(train, monkeypatch, "normalizer=ln_refit", "classifier.init=function_matched", LARGE)
    assert matched[0] == pytest.approx(identity[0], abs=1e-4)
    own, of_identity = (json.loads((r.folder / "results.json").read_text())["metrics"] for r in (run, plain))
    for part in ("specific", "common", "total"):
        name = f"head/{part}_step_of_identity"
        assert own[name] == pytest.approx(of_identity[name], rel=1e-3)


@pytest.mark.parametrize(
    "overrides",
    [
        ("normalizer=zca_whitening", "classifier.init=normalizer_folded"),
        ("normalizer=ln_refit", "classifier.init=function_matched"),
    ],
    ids=["folded", "refitted"],
)
def test_a_start_is_not_repeated_by_a_resume(train: Train, overrides: tuple[str, ...]) -> None:
    short = (*overrides, "data.max_train_examples=64", "callbacks=none", "data.batch_size=16")
    whole = train(*short)
    expected = weights(whole)
    shutil.rmtree(whole.folder)
    with crashing_before(5):  # in the second epoch
        train(*short)
    resumed = weights(train(*short))
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.items())
