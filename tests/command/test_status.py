"""``train.py`` as a user types it: exit status, one line for a mistake, multirun, several devices."""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clsnorm.command.status import run_command

ROOT = Path(__file__).parents[2]

Command = Callable[..., Any]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("normalizer=layernrom", ["layernrom", "layernorm", "identity"]),
        ("data.max_lenght=3", ["max_lenght"]),
        ("logger=null", ["logger=null", "name an option", "none"]),
        ("data.train=gone.tsv", ["gone.tsv"]),
        ("normalizer=[identity,layernorm]", ["one option for `normalizer`", "-m normalizer="]),
        ("optimizer.lr=abc", ["`optimizer.lr`", "a number", "'abc'"]),
        ("data.label=???", ["`data.label` to be given", "data.label=..."]),
        ("data.train=???", ["data=files data.train=..."]),
        ("model.path=???", ["model=any model.path=..."]),
        ("paths.output=/dev/null", ["/dev/null", "paths.output="]),
        ("trainer.devices=4096", ["trainer.devices", "4096"]),
    ],
)
def test_a_user_error_gives_one_line_and_status_2(
    command: Command, tiny_overrides: list[str], workspace: Path, override: str, words: list[str]
) -> None:
    done = command(*tiny_overrides, override)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "Error raised" not in lines[0]
    assert all(word in lines[0] for word in words), lines[0]
    assert not (workspace / "runs").exists()


@pytest.mark.parametrize("folder", ["paths.multirun", "hydra.run.dir"])
def test_refusal_leaves_a_user_s_empty_folders(
    command: Command, tiny_overrides: list[str], workspace: Path, folder: str
) -> None:
    (workspace / "mine" / "empty").mkdir(parents=True)
    sweep = ["-m"] if folder == "paths.multirun" else []
    assert command(*sweep, *tiny_overrides, "data.label=gone", f"{folder}=mine/empty").returncode == 2
    assert (workspace / "mine" / "empty").is_dir()
    assert not any((workspace / "mine" / "empty").iterdir())


BOOM = """
from clsnorm.normalizers import Identity

class Boom(Identity):
    def normalize(self, h):
        raise ZeroDivisionError("a normalizer of one's own")
"""


@pytest.mark.slow
def test_a_sweep_continues_after_a_crash_and_a_refusal(
    command: Command, tiny_overrides: list[str], workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "own.py").write_text(BOOM)
    monkeypatch.setenv("PYTHONPATH", f"{workspace}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("CLSNORM_PACKAGES", "own")
    targets = ",".join(["own.Boom", "${gone}", "clsnorm.normalizers.Identity"])  # the second has no name
    sweep = ["-m", *tiny_overrides, "trainer.max_epochs=1", f"normalizer._target_={targets}"]
    done = command(*sweep)
    assert done.returncode == 1, done.stderr  # a crash outweighs a refusal
    assert "crashed: ZeroDivisionError: a normalizer of one's own" in done.stderr
    assert "job-1: refused: Interpolation key 'gone' not found" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: 2 of the sweep's runs failed")
    (result,) = (workspace / "multirun").glob("_target__*/*/results.json")
    (crash,) = (workspace / "multirun").glob("_target__*/*/error.json")
    assert crash.parent != result.parent
    stamp = result.stat().st_mtime_ns
    (workspace / "own.py").write_text(BOOM.replace('raise ZeroDivisionError("a normalizer of one\'s own")', "return h"))
    again = command(*sweep)
    assert again.returncode == 2, again.stderr
    assert "1 done before" in again.stdout
    assert result.stat().st_mtime_ns == stamp
    assert (crash.parent / "results.json").exists()
    assert not crash.exists()


def hydra_main(hydra: Callable[[], None], task: Callable[[], None]) -> Callable[[], None]:
    """``task`` wrapped as by ``@hydra.main``, which may refuse to call it."""

    @functools.wraps(task)
    def main() -> None:
        hydra()
        task()

    return main


def do_nothing() -> None:
    pass


def fail(error: Exception) -> Callable[[], None]:
    def failing() -> None:
        raise error

    return failing


def test_an_os_error_is_refused_before_the_run_and_raised_within_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    unwritable = PermissionError(errno.EACCES, "Permission denied", "/etc/runs")
    assert run_command(hydra_main(fail(unwritable), do_nothing)) == 2
    assert capsys.readouterr().err.startswith(
        "error: Cannot create a folder for the run: Permission denied: /etc/runs."
    )
    with pytest.raises(PermissionError):
        run_command(hydra_main(do_nothing, fail(unwritable)))


@pytest.mark.slow
def test_the_same_command_resumes_after_an_interrupt(tiny_overrides: list[str], workspace: Path) -> None:
    words = [sys.executable, str(ROOT / "train.py"), *tiny_overrides, "hydra.run.dir=run", "trainer.max_epochs=60"]
    first = subprocess.Popen(
        [*words, "trainer.log_every_n_steps=1"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    metrics = workspace / "run" / "metrics.csv"
    while first.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) > 20):
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    _, printed = first.communicate(timeout=60)
    assert first.returncode == 130, printed
    assert "the same command resumes" in printed.splitlines()[-1]
    assert not (workspace / "run" / "results.json").exists()
    again = subprocess.run([*words, "trainer.log_every_n_steps=1"], capture_output=True, text=True, timeout=200)
    assert again.returncode == 0, again.stderr
    assert "resuming from step" in again.stderr
    steps = [int(line.split(",")[0]) for line in metrics.read_text().splitlines()[1:]]
    assert steps == sorted(set(steps))


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["ddp_cpu", "fsdp"])
def test_two_killed_processes_resume_exactly(tiny_overrides: list[str], workspace: Path, trainer: str) -> None:
    import torch

    common = [*tiny_overrides, f"trainer={trainer}", "trainer.accelerator=cpu", "trainer.devices=2"]
    common += ["normalizer=batchnorm", "trainer.max_epochs=12", "checkpoint_every=1"]
    common += ["data.batch_size=13", "trainer.log_every_n_steps=2", "callbacks=[cls_statistics,gradient_norms]"]
    words = [sys.executable, str(ROOT / "train.py"), *common]
    assert (
        subprocess.run([*words, "hydra.run.dir=whole"], capture_output=True, timeout=200, check=False).returncode == 0
    )
    first = subprocess.Popen([*words, "hydra.run.dir=cut"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = workspace / "cut" / "metrics.csv"
    while first.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) > 25):
        time.sleep(0.02)
    first.kill()
    first.wait()
    assert not (workspace / "cut" / "results.json").exists()
    for _ in range(40):  # its workers die with it, but not at once
        again = subprocess.run([*words, "hydra.run.dir=cut"], capture_output=True, text=True, timeout=200, check=False)
        if "is running in it" not in again.stderr:
            break
        time.sleep(0.5)
    assert again.returncode == 0, again.stderr
    assert "resuming from step" in again.stderr
    assert metrics.read_text() == (workspace / "whole" / "metrics.csv").read_text()
    states = [
        torch.load(workspace / name / "selected.ckpt", weights_only=True)["state_dict"] for name in ("whole", "cut")
    ]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.slow
def test_sweep_file_runs_every_job(command: Command, tiny_overrides: list[str], workspace: Path) -> None:
    done = command(*tiny_overrides, "sweep=first_look", "data.max_train_examples=40", "trainer.max_epochs=1")
    assert done.returncode == 0, done.stderr
    found = [json.loads(path.read_text()) for path in (workspace / "multirun/first_look").glob("*/results.json")]
    expected = {(name, seed) for name in ("identity", "layernorm", "standardize") for seed in range(3)}
    assert {(result["normalizer"], result["seed"]) for result in found} == expected


def test_help_imports_no_heavy_package(workspace: Path) -> None:
    words = [sys.executable, "-X", "importtime", str(ROOT / "train.py"), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "\nnormalizer=abtt, batchnorm" in done.stdout
    assert "\nlogger=mlflow, none, tensorboard, wandb\n" in done.stdout
    assert " _glue" not in done.stdout  # parts of other options do not count
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "clsnorm.config.names" in imported
    assert not imported & {"torch", "numpy", "pytorch_lightning", "transformers", "datasets", "wandb", "pandas"}


@pytest.mark.parametrize(
    ("normalizer", "batch_size"),
    [  # of 120 examples: a last batch of 3, in uneven parts; or of 1, and none
        pytest.param("batchnorm", 13, marks=pytest.mark.slow),
        pytest.param("layernorm", 17, marks=pytest.mark.slow),
    ],
)
def test_two_processes_end_with_the_weights_of_one(
    command: Command, tiny_overrides: list[str], workspace: Path, normalizer: str, batch_size: int
) -> None:
    import torch

    common = [
        *tiny_overrides,
        f"normalizer={normalizer}",
        f"data.batch_size={batch_size}",
        "model.dropout=0",
        "classifier.dropout=0",
        "trainer.max_epochs=1",
        "optimizer.eps=0.01",  # Adam divides: at its usual eps it turns the float error of zero gradients into steps
    ]
    states = {}
    for trainer, devices in (("default", 1), ("ddp_cpu", 2), ("fsdp", 2)):
        where = [f"trainer={trainer}", "trainer.accelerator=cpu", f"trainer.devices={devices}"]
        done = command(*common, *where, f"paths.output={trainer}")
        assert done.returncode == 0, done.stderr
        (folder,) = (workspace / trainer).iterdir()
        states[trainer] = torch.load(folder / "selected.ckpt", weights_only=True)["state_dict"]
        results = json.loads((folder / "results.json").read_text())
        assert results["devices"] == devices
        assert results["metrics"]["report/accuracy"] > 0.6
    for trainer in ("ddp_cpu", "fsdp"):
        assert states[trainer].keys() == states["default"].keys()
        for key, value in states["default"].items():
            torch.testing.assert_close(value, states[trainer][key], rtol=1e-3, atol=1e-4)
