"""A run interrupted anywhere ends equal to the bit to an uninterrupted one."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kills
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from runs import crashing_before, weights

from clsnorm.experiment import job
from clsnorm.launch import interruption
from clsnorm.records.checkpoints import position

ROOT = Path(__file__).parents[2]
Train = Callable[..., SimpleNamespace]
CADENCES = {
    "each epoch": ["trainer.val_check_interval=1.0"],
    "every four batches": ["trainer.val_check_interval=4"],
    "accumulation": ["trainer.accumulate_grad_batches=2", "trainer.val_check_interval=4"],
}
RECIPE = ("normalizer=batchnorm", "data.max_train_examples=72", "data.batch_size=8", "callbacks=none")
BATCHES = 18  # two epochs of nine


@pytest.mark.slow
@pytest.mark.parametrize("cadence", CADENCES)
def test_every_interruption_point_resumes_bit_equal(
    train: Train, cadence: str, record_property: Callable[[str, Any], None]
) -> None:
    overrides = (*RECIPE, *CADENCES[cadence], "checkpoint_every=1")
    whole = train(*overrides)
    expected, score = weights(whole), whole.score
    equal = 0
    for batch in range(1, BATCHES):
        shutil.rmtree(whole.folder)
        with crashing_before(batch):
            train(*overrides)
        resumed = train(*overrides)
        found = weights(resumed)
        equal += resumed.score == score and all(torch.equal(expected[key], found[key]) for key in expected)
    record_property("bit_equal", f"{equal} of {BATCHES - 1}")
    assert equal == BATCHES - 1


@pytest.mark.parametrize("cadence", ["each epoch", "accumulation"])
def test_an_announced_interruption_stores_one_resume_point_and_loses_no_step(
    train: Train, cadence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = (*RECIPE, *CADENCES[cadence])  # which alone would store nothing within an epoch
    whole = train(*overrides)
    expected, score = weights(whole), whole.score
    shutil.rmtree(whole.folder)
    with monkeypatch.context() as patched:
        asked = itertools.count(1)  # once for each batch
        patched.setattr(interruption, "is_expected", lambda: True)
        patched.setattr(interruption, "announced", lambda: signal.SIGUSR1 if next(asked) >= 3 else None)
        with pytest.raises(KeyboardInterrupt):
            train(*overrides)
    epoch, first, step = position(whole.folder / "last.ckpt", batches_per_epoch=9)
    assert (epoch, first, step) == ((0, 3, 3) if cadence == "each epoch" else (0, 4, 2))
    resumed = train(*overrides)
    assert resumed.score == score
    assert all(torch.equal(expected[key], found) for key, found in weights(resumed).items())


CONFIGURATIONS = {
    "epochs": ["callbacks=[cls_statistics,collapse,saturation,gradient_norms]", "normalizer=dyt"],
    "steps": ["trainer.max_steps=7", "trainer.max_epochs=-1", "callbacks=[collapse,gradient_norms]"],
    "recalibration": ["normalizer=zca_whitening", "classifier.recalibrate_every=1", "callbacks=none"],
    "loading processes": ["data.num_workers=1", "callbacks=none"],
    "accumulation": ["trainer.accumulate_grad_batches=2", "trainer.val_check_interval=0.5", "callbacks=collapse"],
    "stopped early": ["callbacks=early_stopping", "callbacks.early_stopping.patience=1", "optimizer.lr=1e-9"],
    "aborted": ["normalizer=batchnorm", "optimizer.lr=100", "abort_on=[majority_collapse]", "callbacks=collapse"],
    "bfloat16": ["trainer.precision=bf16-mixed", "normalizer=powernorm", "callbacks=[collapse,gradient_norms]"],
}
SHORT = ("data.max_train_examples=72", "trainer.log_every_n_steps=1", "checkpoint_every=1")  # five steps an epoch


@pytest.fixture
def killed(train: Train, workspace: Path) -> Callable[..., int]:
    """Kills a run at one chosen moment after the other, resuming it in between, and returns their number.

    With several processes, each in turn is the one that comes to the moment.
    """

    def killed(overrides: list[str], choose: Callable[[list[str]], list[str]], processes: int = 1) -> int:
        def work() -> None:
            train(*SHORT, *overrides)

        moments = kills.moments_of(work, workspace / "moments.json")
        (folder,) = (path.parent for path in workspace.rglob("results.json"))
        whole = kills.contents(folder)
        shutil.rmtree(folder)
        chosen = [moment for moment in choose(moments) if "on_train_start" not in moment]  # comes but once
        missed = [m for number, m in enumerate(chosen) if not kills.killed_at(work, m, of=number % processes)]
        assert kills.fork(work) == 0
        assert kills.differing(whole, kills.contents(folder)) == []
        assert missed == []
        return len(chosen)

    return killed


@pytest.mark.slow
@pytest.mark.parametrize(("first", "name"), [*enumerate(CONFIGURATIONS)])
def test_a_run_killed_repeatedly_leaves_the_same_files(killed: Callable[..., int], first: int, name: str) -> None:
    assert killed(CONFIGURATIONS[name], lambda moments: moments[3 * first :: 23]) > 2


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_run_killed_at_each_hook_leaves_the_same_files(
    killed: Callable[..., int], name: str, record_property: Callable[[str, Any], None]
) -> None:
    record_property("kills", killed(CONFIGURATIONS[name], kills.last_of_each_hook))


@pytest.mark.slow
@pytest.mark.new_process
@pytest.mark.parametrize(
    ("strategy", "processes", "more"),
    [
        ("fsdp", 2, ["callbacks=[default,gradient_norms]"]),
        ("fsdp", 2, ["trainer.precision=bf16-mixed", "trainer.accumulate_grad_batches=2", "callbacks=none"]),
        ("fsdp", 2, ["normalizer=zca_whitening", "classifier.recalibrate_every=1", "callbacks=none"]),
        (
            "ddp_cpu",
            4,
            ["callbacks=[default,gradient_norms]"],
        ),  # DDP would add gradients in another order after a resume
        ("fsdp", 4, ["data.max_train_examples=66", "callbacks=none"]),  # a last batch of two rows
    ],
)
def test_several_processes_killed_repeatedly_leave_the_same_files(
    killed: Callable[..., int], monkeypatch: pytest.MonkeyPatch, strategy: str, processes: int, more: list[str]
) -> None:
    monkeypatch.setattr(job, "launch", kills.launch)
    monkeypatch.setattr(os, "cpu_count", lambda: processes)
    devices = [f"trainer={strategy}", "trainer.accelerator=cpu", f"trainer.devices={processes}"]
    assert killed(["normalizer=powernorm", *devices, *more], lambda moments: moments[5::23], processes) > 2


def _with_state() -> dict[str, list[str]]:
    """Returns overrides for each normalizer that has buffers, by its name."""
    found = {}
    for file in sorted((ROOT / "conf" / "normalizer").glob("*.yaml")):
        options = OmegaConf.load(file)
        normalizer = instantiate(options)(8)
        if any(True for _ in normalizer.buffers()):
            found[file.stem] = [f"normalizer={file.stem}"]
            again = normalizer.calibration and not normalizer.changes_encoder
            found[file.stem] += ["classifier.recalibrate_every=1"] if again else []
            found[file.stem] += ["normalizer.warmup_steps=7"] if "warmup_steps" in options else []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("overrides", _with_state().values(), ids=_with_state())
def test_any_normalizer_interrupted_between_resume_points_leaves_the_same_files(
    train: Train, overrides: list[str]
) -> None:
    words = ["data.max_train_examples=72", "trainer.log_every_n_steps=1", "trainer.accumulate_grad_batches=2",
             "checkpoint_every=2", "callbacks=gradient_norms", *overrides]  # fmt: skip
    whole = train(*words)
    expected = kills.contents(whole.folder)
    shutil.rmtree(whole.folder)
    for batch in (2, 4, 7):  # before the first resume point, after it, in the second epoch; an epoch has five batches
        with crashing_before(batch):
            train(*words)
    assert kills.differing(expected, kills.contents(train(*words).folder)) == []


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["trainer=default", "trainer=ddp_cpu", "trainer=fsdp"])
def test_a_command_killed_with_its_workers_leaves_the_same_files(
    command: Callable[..., Any], workspace: Path, tiny_overrides: list[str], devices: str
) -> None:
    words = [*tiny_overrides, *SHORT, *CONFIGURATIONS["steps"], "trainer.accelerator=cpu", devices]
    words += ["trainer.devices=2"] if devices == "trainer=fsdp" else []
    assert command(*words, f"paths.output={workspace}/whole").returncode == 0
    (whole,) = (path.parent for path in (workspace / "whole").rglob("results.json"))
    folder = workspace / "killed" / whole.name
    again = [sys.executable, str(ROOT / "train.py"), *words, f"paths.output={workspace}/killed"]
    for name in ("last.ckpt", "predictions.parquet"):
        process = subprocess.Popen(again, start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (folder / name).exists():
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    done = command(*words, f"paths.output={workspace}/killed")
    assert done.returncode == 0, done.stderr
    assert kills.differing(kills.contents(whole), kills.contents(folder)) == []
