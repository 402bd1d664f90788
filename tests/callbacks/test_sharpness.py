"""Sharpness in whole runs: against the matrix of the stored weights, and without an effect on training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import runs
import torch
from omegaconf import OmegaConf

from clsnorm.callbacks import Sharpness
from clsnorm.callbacks.split_pass import fixed_rows
from clsnorm.errors import InputError
from clsnorm.experiment.assembly import build
from clsnorm.losses import example_losses
from clsnorm.run_folder import RunFolder

Train = Callable[..., SimpleNamespace]
SHORT = [
    "trainer.log_every_n_steps=2",
    "trainer.max_epochs=1",
    "data.max_train_examples=48",
    "data.batch_size=8",
    "scheduler.warmup_ratio=0",
]
OPTIONS = [*SHORT, "callbacks=sharpness", "callbacks.sharpness.every=3", "callbacks.sharpness.examples=12"]


def measured(folder: Path) -> dict[int, dict[str, float]]:
    """The numbers by step."""
    rows = [row for row in runs.rows(folder / "metrics.csv") if row.get("sharpness/gauss_newton")]
    return {int(r["step"]): {k: float(v) for k, v in r.items() if v and k.startswith("sharpness/")} for r in rows}


def test_numbers_of_adam_in_a_run(train: Train) -> None:
    run = train(*OPTIONS, "callbacks.sharpness.hessian=true", "normalizer=layernorm", "optimizer.lr=1e-3")
    found = measured(run.folder)
    assert list(found) == [0, 3]
    assert "sharpness/edge" not in found[0]  # Adam has no second moments yet
    for step, numbers in found.items():
        rate = 1e-3 * (1 - step / 6)  # the coming step's, of the linear schedule
        assert 0 < numbers["sharpness/head"] <= numbers["sharpness/gauss_newton"] * 1.001
        assert numbers["sharpness/rate_times"] == pytest.approx(rate * numbers["sharpness/gauss_newton"])
        assert (numbers["sharpness/residual"] <= 0.01) or numbers["sharpness/iterations"] == 20
        assert "sharpness/hessian" in numbers
    last = found[3]
    assert last["sharpness/edge"] == pytest.approx(5e-4 * last["sharpness/preconditioned"] / 38, rel=1e-6)
    results = runs.results(run)["metrics"]
    assert results["sharpness/run/max"] == max(numbers["sharpness/gauss_newton"] for numbers in found.values())
    assert results["sharpness/run/edge_max"] == last["sharpness/edge"]


def test_the_head_number_is_the_closed_form_of_the_fixed_sample(train: Train, tmp_path: Path) -> None:
    run = train(*OPTIONS, "callbacks.sharpness.tolerance=1e-5", "callbacks.sharpness.iterations=40")
    config: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(run.folder / "config.yaml"))  # type: ignore[assignment]
    parts = build({**config, "callbacks": {}}, RunFolder(tmp_path / "scratch"))
    rows = fixed_rows(parts.data.ids_of("train"), 12)
    classifier = parts.module.classifier.eval()
    matrix, loss = np.zeros((66, 66)), 0.0
    with torch.no_grad():
        for batch in parts.data.rows_dataloader("train", rows):
            output = classifier(batch)
            loss += float(example_losses(output.logits, batch.labels, regression=False).sum())
            ones = torch.ones(len(batch), 1)
            for p, x in zip(output.logits.softmax(-1).numpy(), torch.cat([output.z, ones], 1).numpy(), strict=True):
                matrix += np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x)) / 12
    assert loss > 0
    assert measured(run.folder)[0]["sharpness/head"] == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-3)


def test_sgd_is_compared_with_two(train: Train) -> None:
    sgd = ["optimizer._target_=torch.optim.SGD", *(f"~optimizer.{n}" for n in ("betas", "eps", "layer_decay"))]
    sgd += ["~optimizer.head_lr_factor", "optimizer.lr=0.1"]
    found = measured(train(*OPTIONS, *sgd).folder)
    for numbers in found.values():
        assert numbers["sharpness/edge"] == pytest.approx(numbers["sharpness/rate_times"] / 2)
        assert "sharpness/preconditioned" not in numbers


@pytest.mark.parametrize("normalizer", ["identity", "batchnorm"])
def test_measuring_changes_nothing(train: Train, normalizer: str) -> None:
    def outcome(*options: str) -> tuple[list[str], dict[str, torch.Tensor]]:
        folder = train(f"normalizer={normalizer}", "force=true", *options).folder
        losses = [row["train/loss"] for row in runs.rows(folder / "metrics.csv") if row.get("train/loss")]
        return losses, torch.load(folder / "selected.ckpt", weights_only=True)["state_dict"]

    losses, weights = outcome(*OPTIONS, "trainer.log_every_n_steps=1", "callbacks=[sharpness,gradient_norms]")
    plain, others = outcome(*SHORT, "trainer.log_every_n_steps=1", "callbacks=none")
    assert losses == plain
    assert len(losses) == 6
    assert all(torch.equal(weights[name], others[name]) for name in others)


def test_resumed_run_has_the_numbers_of_the_whole(train: Train) -> None:
    options = [*OPTIONS, "checkpoint_every=1", "data.batch_size=4"]
    whole = train(*options, "paths.output=whole")
    with runs.crashing_before(7):
        train(*options)
    resumed = train(*options)
    assert measured(resumed.folder) == measured(whole.folder)
    assert list(measured(whole.folder)) == [0, 3, 6, 9]
    kept = [{k: v for k, v in runs.metrics(run).items() if "sharpness" in k} for run in (whole, resumed)]
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_two_processes_have_the_numbers_of_one_and_shards_are_refused(train: Train) -> None:
    options = [*OPTIONS, "callbacks.sharpness.examples=5", "callbacks.sharpness.tolerance=1e-4"]
    options += ["model.dropout=0", "classifier.dropout=0", "optimizer.eps=0.01"]  # masks differ between processes
    one = measured(train(*options, "paths.output=one").folder)
    two = measured(train(*options, "trainer=ddp_cpu", "trainer.devices=2", "paths.output=two").folder)
    for step, numbers in one.items():
        for name in ("gauss_newton", "head"):
            assert two[step][f"sharpness/{name}"] == pytest.approx(numbers[f"sharpness/{name}"], rel=2e-3)
    with pytest.raises(InputError, match=r"whole parameters.*trainer=fsdp"):
        train(*options, "trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2", "paths.output=three")


@pytest.mark.parametrize(
    "option", ["every=0", "examples=0", "iterations=0", "tolerance=0", "tolerance=2", "hessian=perhaps"]
)
def test_wrong_options_are_refused(option: str) -> None:
    given: dict[str, Any] = {"every": 1, "examples": 1, "iterations": 1, "tolerance": 0.1, "hessian": False}
    name, value = option.split("=")
    given[name] = value if name == "hessian" else float(value) if name == "tolerance" else int(value)
    with pytest.raises(InputError, match=name):
        Sharpness(**given)
