"""Workers by torchrun: refusals are relayed, sweeps work, and no worker outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clsnorm.command.status import run_command
from clsnorm.launch.one_machine import WorkerError, exit_status, launch

ROOT = Path(__file__).parents[2]
TWO = ["trainer=ddp_cpu"]


def workers_of(folder: Path) -> list[int]:
    """Processes whose command line names ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder).encode() in words:
            found.append(int(path.parent.name))
    return found


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.2)
    return value


@pytest.mark.slow
def test_a_refusal_by_a_worker_is_one_line_and_creates_nothing(
    command: Callable[..., Any], tiny_overrides: list[str], workspace: Path
) -> None:
    done = command(*tiny_overrides, *TWO, "data.label=gone")
    assert done.returncode == 2, done.stderr
    assert "gone" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (workspace / "runs").exists()


def test_a_worker_s_crash_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = {"kind": "ZeroDivisionError", "message": "by\nzero", "traceback": "Traceback (most recent call last) ..."}

    def crash(*words: object, **options: object) -> SimpleNamespace:
        (tmp_path / "error.json").write_text(json.dumps(error))
        return SimpleNamespace(returncode=1, wait=lambda: 1, poll=lambda: 1)

    monkeypatch.setattr(subprocess, "Popen", crash)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    task = {"processes": 2, "accelerator": "cpu", "task": "clsnorm.experiment.job:work"}
    with pytest.raises(WorkerError, match="a worker crashed: ZeroDivisionError"):
        launch(tmp_path, **task)
    assert run_command(lambda: launch(tmp_path, **task)) == 1
    printed = capsys.readouterr().err
    traceback = f"(its traceback: {tmp_path / 'error.json'})"
    assert printed == f"error: a worker crashed: ZeroDivisionError: by zero {traceback}\n"


@pytest.mark.parametrize("alive", [True, False])
def test_a_process_whose_parent_died_before_it_started_dies(alive: bool) -> None:
    parent = os.getpid() if alive else 1_234_567_890
    script = f"from clsnorm.launch.one_machine import die_with_parent; die_with_parent({parent}); print('on')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == ((0, "on\n") if alive else (-signal.SIGKILL, ""))


@pytest.mark.parametrize(
    ("codes", "status"),
    [([1, -15], 1), ([-9, 1], 137), ([-9, -15], 137), ([-15], 143), ([2, 2], 1)],
)
def test_the_exit_status_ignores_workers_ended_by_the_launcher(codes: list[int], status: int) -> None:
    assert exit_status(codes) == status


@pytest.mark.slow
def test_sweep_over_two_processes(command: Callable[..., Any], tiny_overrides: list[str], workspace: Path) -> None:
    sweep = [
        "-m",
        *tiny_overrides,
        *TWO,
        "trainer.max_epochs=1",
        "normalizer=isobn,standardize",
        "paths.multirun=sweeps",
    ]
    done = command(*sweep)
    assert done.returncode == 0, done.stderr
    found = [json.loads(path.read_text()) for path in (workspace / "sweeps").glob("*/*/results.json")]
    assert {result["normalizer"] for result in found} == {"isobn", "standardize"}
    assert all(result["devices"] == 2 for result in found)


def endless_run(tiny_overrides: list[str], folder: Path) -> subprocess.Popen[str]:
    """Starts a run of two workers and waits until they train."""
    words = [*tiny_overrides, *TWO, "trainer.max_epochs=-1", "trainer.max_steps=100000", "callbacks=none"]
    parent = subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "train.py"),
            *words,
            f"hydra.run.dir={folder.name}",
            "trainer.val_check_interval=5",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert wait_for(lambda: (folder / "metrics.csv").exists(), 120), "training did not start"
    assert len(workers_of(folder)) == 3  # torchrun and its two workers
    return parent


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; workers learn of the parent's death on Linux only")
def test_killing_the_parent_ends_all_workers(tiny_overrides: list[str], workspace: Path) -> None:
    folder = workspace / "run"
    parent = endless_run(tiny_overrides, folder)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert wait_for(lambda: not workers_of(folder), 20), f"left behind: {workers_of(folder)}"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killing_a_worker_ends_the_run_and_is_reported(tiny_overrides: list[str], workspace: Path) -> None:
    folder = workspace / "run"
    parent = endless_run(tiny_overrides, folder)
    os.kill(max(workers_of(folder)), signal.SIGKILL)
    _, printed = parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert "a worker was killed by SIGKILL" in printed
    assert not workers_of(folder)
