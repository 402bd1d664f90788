"""Gradients of single examples against one backward pass an example."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning.plugins import MixedPrecision

from clsnorm.building import build
from clsnorm.calibration import calibrate
from clsnorm.model.scores import example_losses
from clsnorm.records import RunFolder

Train = Callable[..., SimpleNamespace]
# weights that stay where they are, so that every step's gradients can be made again
STILL = [
    "callbacks=gradient_norms",
    "optimizer.lr=1e-30",
    "model.dropout=0",
    "classifier.dropout=0",
    "trainer.max_epochs=1",
    "data.max_train_examples=37",
    "data.batch_size=8",
]


def kept(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "statistics" / "gradients.npz") as arrays:
        return {name: np.sort(arrays[name]) for name in arrays.files}


def one_by_one(folder: Path, scratch: Path) -> dict[str, np.ndarray]:
    """Norms of the gradient of each example's own loss at h and z, by autograd on one example at a time."""
    config: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))  # type: ignore[assignment]
    parts = build({**config, "callbacks": {}}, RunFolder(scratch))
    classifier = parts.module.classifier
    calibrate(classifier, parts.data, cache=scratch, device="cpu")
    classifier.train()
    found: dict[str, list[float]] = {"h": [], "z": []}
    for part in parts.data.train_dataloader():
        for row in range(len(part)):
            output = classifier(part)
            loss = example_losses(output.logits, part.labels, regression=False)[row]
            for point, tensor in (("h", output.h), ("z", output.z)):
                (gradient,) = torch.autograd.grad(loss, tensor, retain_graph=True)
                found[point].append(float(gradient[row].norm()))
    return {point: np.sort(norms) for point, norms in found.items()}


@pytest.mark.parametrize("normalizer", ["identity", "layernorm", "zca_whitening"])
@pytest.mark.parametrize("options", [[], ["trainer.accumulate_grad_batches=3", "trainer.gradient_clip_val=1e-3"]])
def test_rows_are_gradients_of_each_examples_own_loss(
    train: Train, tmp_path: Path, normalizer: str, options: list[str]
) -> None:
    run = train(*STILL, f"normalizer={normalizer}", *options)
    ours, theirs = kept(run.folder), one_by_one(run.folder, tmp_path / "scratch")
    assert ours.keys() == {*theirs, "gain_bound"}
    assert {len(values) for values in ours.values()} == {37}
    for point, norms in theirs.items():
        np.testing.assert_allclose(ours[point], norms, rtol=2e-4, atol=1e-7)


def test_two_processes_see_the_gradients_of_one(train: Train) -> None:
    moving = [*STILL, "normalizer=layernorm", "optimizer.lr=1e-4", "optimizer.eps=0.01", "trainer.log_every_n_steps=2"]
    one = train(*moving, "paths.output=one").folder
    for trainer in ("ddp_cpu", "fsdp"):
        where = [f"trainer={trainer}", "trainer.devices=2", f"paths.output={trainer}"]
        two = train(*moving, *where).folder
        for point, norms in kept(one).items():
            np.testing.assert_allclose(kept(two)[point], norms, rtol=2e-4, atol=1e-7)
        assert len(columns(one)) == 2
        for ours, theirs in zip(columns(two), columns(one), strict=True):
            assert float(ours["grad/update_ratio/layer01/attention"]) > 0
            assert ours.keys() == theirs.keys()
            for name in ours:
                assert float(ours[name] or 0) == pytest.approx(float(theirs[name] or 0), rel=1e-3, abs=1e-6), name


def test_a_normalizer_that_mixes_the_batch_is_labelled_so(train: Train) -> None:
    run = train(*STILL, "normalizer=batchnorm", "data.max_train_examples=32")
    assert set(kept(run.folder)) == {"h_of_sum", "z", "gain_bound"}


def columns(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [row for row in csv.DictReader(file) if row.get("grad/gain")]


def test_logged_numbers_hang_together(train: Train) -> None:
    run = train(
        "callbacks=gradient_norms",
        "normalizer=layernorm",
        "trainer.gradient_clip_val=0.5",
        "trainer.log_every_n_steps=4",
        "trainer.max_epochs=1",
    )
    rows = columns(run.folder)
    steps = json.loads((run.folder / "results.json").read_text())["steps"]
    assert [int(row["step"]) for row in rows] == list(range(3, steps, 4))
    for row in rows:
        number = {name: float(value) for name, value in row.items() if value}
        assert number["grad/h/median"] <= number["grad/h/p95"] <= number["grad/h/p99"] <= number["grad/h/max"]
        assert number["grad/gain"] == pytest.approx(number["grad/h/mean"] / number["grad/z/mean"])
        parts = [value for name, value in number.items() if name.startswith("grad/parameters/") and "total" not in name]
        total = number["grad/parameters/total"]
        assert np.linalg.norm(parts) == pytest.approx(total, rel=1e-6)
        assert number["grad/clipped/total"] == pytest.approx(min(total, 0.5), rel=1e-3)
        assert 0 < number["grad/update_ratio/head"] < 1
    results = json.loads((run.folder / "results.json").read_text())["metrics"]
    assert results["grad/run/h/max"] >= max(float(row["grad/h/max"]) for row in rows)
    assert len(kept(run.folder)["h"]) == json.loads((run.folder / "results.json").read_text())["train_examples"]


def test_identity_has_gain_one(train: Train) -> None:
    run = train(*STILL, "normalizer=identity")
    for row in columns(run.folder):
        assert float(row["grad/gain"]) == pytest.approx(1.0)
        assert float(row["grad/rms_gain"]) == pytest.approx(1.0)
        assert float(row["grad/gain_bound"]) == 1.0


@pytest.mark.parametrize("normalizer", ["layernorm", "zca_whitening", "batchnorm"])
def test_gain_stays_below_its_bound(train: Train, normalizer: str) -> None:
    run = train("callbacks=gradient_norms", f"normalizer={normalizer}", "trainer.max_epochs=1", "data.batch_size=8")
    rows = columns(run.folder)
    assert rows
    for row in rows:
        bound = float(row["grad/gain_bound"]) * (1 + 1e-5)
        assert 0 < float(row["grad/rms_gain"]) <= bound
        if normalizer != "batchnorm":  # there rows at h are not those of single examples
            assert float(row["grad/gain"]) <= bound


def test_a_normalizer_without_a_bound_logs_none(train: Train) -> None:
    run = train(*STILL, "normalizer=iternorm", "data.max_train_examples=32")
    assert not any(row.get("grad/gain_bound") for row in columns(run.folder))
    assert set(kept(run.folder)) == {"h_of_sum", "z"}


def test_watching_changes_nothing(train: Train) -> None:
    def weights(*options: str) -> dict[str, torch.Tensor]:
        folder = train("trainer.max_epochs=1", "normalizer=layernorm", "force=true", *options).folder
        return torch.load(folder / "selected.ckpt", weights_only=True)["state_dict"]

    watched, alone = weights("callbacks=gradient_norms"), weights("callbacks=none")
    assert all(torch.equal(watched[name], alone[name]) for name in alone)


def test_resumed_run_has_the_rows_and_norms_of_the_whole(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from clsnorm.model import FineTuner

    options = ["callbacks=gradient_norms", "checkpoint_every=1", "trainer.log_every_n_steps=3"]
    whole = train(*options, "paths.output=whole").folder
    original = FineTuner.training_step

    def explode(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.trainer.global_step == 7:
            raise RuntimeError("a wire came loose")
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(FineTuner, "training_step", explode)
        with pytest.raises(RuntimeError, match="wire"):
            train(*options)
    resumed = train(*options).folder
    assert columns(resumed) == columns(whole)
    for point, norms in kept(whole).items():
        np.testing.assert_array_equal(kept(resumed)[point], norms)


def test_the_scale_of_amp_is_undone(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """float16 with a scale that grows while training, as on a GPU; on the CPU Lightning would take bfloat16."""
    exact = kept(train(*STILL, "normalizer=layernorm").folder)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    monkeypatch.setattr(
        "pytorch_lightning.trainer.connectors.accelerator_connector._AcceleratorConnector._check_and_init_precision",
        lambda connector: MixedPrecision("16-mixed", device="cpu", scaler=scaler),
    )
    half = kept(train(*STILL, "normalizer=layernorm", "trainer.precision=16-mixed").folder)
    assert scaler.get_scale() > 1024
    for point in ("h", "z"):
        np.testing.assert_allclose(half[point], exact[point], rtol=0.05, atol=1e-3)


def test_bf16_gradients_are_close(train: Train) -> None:
    exact = kept(train(*STILL, "normalizer=layernorm").folder)
    half = kept(train(*STILL, "normalizer=layernorm", "trainer.precision=bf16-mixed").folder)
    np.testing.assert_allclose(half["h"], exact["h"], rtol=0.1, atol=1e-3)
