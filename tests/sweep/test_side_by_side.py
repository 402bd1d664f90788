"""`hydra/launcher=joblib` in whole sweeps of tiny models, and what all launchers with workers share (`Fleet`)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kills import contents

from clsnorm.errors import InputError
from clsnorm.sweep import Fleet, SideBySide
from clsnorm.sweep.job_state import look

SWEEP = ["-m", "normalizer=identity,standardize", "trainer.max_epochs=1", "callbacks=none"]
WORKERS = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "paths.multirun=shared"]


def test_switches_are_switches() -> None:
    with pytest.raises(InputError, match=r"hydra\.launcher\.oversubscribe"):
        SideBySide(n_jobs=2, oversubscribe="yes", wait=True, quiet=True)  # type: ignore[arg-type]
    assert issubclass(SideBySide, Fleet)


def results(sweep: Path) -> dict[str, Any]:
    """Scores, weights and losses of each finished run, without what differs between two commands."""
    found = {path.parent.name: contents(path.parent) for path in sorted(sweep.glob("*/*/results.json"))}
    return {
        name: {key: run[key] for key in ("predictions", "weights", "metrics")} | run["results"]["metrics"]
        for name, run in found.items()
    }


@pytest.mark.slow
def test_jobs_side_by_side_give_the_results_of_one_after_the_other_and_failures_cost_one_job(
    command: Callable[..., Any], tiny_overrides: list[str], workspace: Path
) -> None:
    serial = command(*SWEEP, *tiny_overrides, "seed=0,1", "paths.multirun=serial")
    assert serial.returncode == 0, serial.stderr
    both = command(*SWEEP, *tiny_overrides, "seed=0,1,-1", *WORKERS, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert both.returncode == 2, both.stderr
    assert "4 run by 2 workers side by side, 2 failed" in both.stdout
    assert len(re.findall("s-1-[0-9a-f]*: refused: ", both.stderr)) == 2
    assert "error: 2 of the sweep's runs failed" in both.stderr
    (sweep,) = (workspace / "shared").iterdir()
    assert results(workspace / "shared") == results(workspace / "serial")
    assert {path.name for path in sweep.rglob(".*")} == {".plan", ".workers"}
    assert {path.suffix for path in (sweep / ".workers").iterdir()} == {".log"}  # of workers whose jobs failed


@pytest.mark.slow
def test_ctrl_c_leaves_jobs_to_be_resumed(
    command: Callable[..., Any], tiny_overrides: list[str], workspace: Path, root: Path
) -> None:
    words = [*SWEEP, *tiny_overrides, "seed=0,1", "checkpoint_every=1", *WORKERS]
    typed = [sys.executable, str(root / "train.py"), *words]
    running = subprocess.Popen(typed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not list((workspace / "shared").glob("*/*/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, printed = running.communicate(timeout=120)
    assert running.returncode == 130, printed
    assert printed.splitlines()[-1] == "interrupted: the same command resumes from the last checkpoint"
    (sweep,) = (workspace / "shared").iterdir()
    assert all(look(path.parent).state != "running" for path in sweep.glob("*/config.yaml"))
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert len(list(sweep.glob("*/results.json"))) == 4


@pytest.mark.slow
def test_jobs_on_two_processes_run_side_by_side(command: Callable[..., Any], tiny_overrides: list[str]) -> None:
    words = [*SWEEP, *tiny_overrides, "trainer=ddp_cpu", *WORKERS, "data.max_train_examples=64"]
    refused = command(*words, "hydra.launcher.n_jobs=999")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "999 with 2 processes each" in refused.stderr
    done = command(*words, "hydra.launcher.oversubscribe=true")
    assert done.returncode == 0, done.stderr
    assert "2 run by 2 workers side by side" in done.stdout
