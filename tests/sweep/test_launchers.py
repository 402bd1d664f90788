"""`LocalWorkers` and `Grid` in whole sweeps of tiny models."""

from __future__ import annotations

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
from kills import contents

from clsnorm.errors import InputError
from clsnorm.sweep import Grid, LocalWorkers
from clsnorm.sweep.launchers import sync_command

SWEEP = ["-m", "normalizer=identity,standardize", "seed=0,1,2,3", "trainer.max_epochs=1", "callbacks=none"]


@pytest.mark.parametrize("options", [{"wait": "yes", "quiet": True}, {"wait": True, "quiet": 1}])
def test_switches_are_switches(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"hydra\.launcher"):
        LocalWorkers(**options)


def test_the_grid_has_every_combination() -> None:
    grid = Grid(max_batch_size=None, params=None)
    grid.validate_batch_is_legal([["no=such", "key"]])  # the launcher refuses it


def test_offline_runs_of_wandb_are_uploaded_by_one_command(tmp_path: Path) -> None:
    sweep = tmp_path / "a sweep"
    assert sync_command(sweep) is None
    runs = [sweep / f"job-{number}" / "wandb" / f"offline-run-2026-{number}" for number in range(2)]
    for run in runs:
        run.mkdir(parents=True)
    command = sync_command(sweep)
    assert command is not None
    expanded = subprocess.run(["bash", "-c", f"printf '%s\n' {command}"], capture_output=True, text=True, check=True)
    assert expanded.stdout.splitlines() == ["wandb", "sync", *map(str, runs)]
    (runs[0] / "run-1.wandb.synced").touch()
    assert sync_command(sweep) == command, "one is left"
    (runs[1] / "run-2.wandb.synced").touch()
    assert sync_command(sweep) is None


def finished(sweep: Path) -> dict[str, Any]:
    return {path.parent.name: contents(path.parent) for path in sorted(sweep.glob("*/*/results.json"))}


def results(sweep: Path) -> dict[str, Any]:
    """Scores and losses of each run, without what differs between two commands, such as folders."""
    return {
        name: {key: found[key] for key in ("predictions", "weights", "metrics")} | found["results"]["metrics"]
        for name, found in finished(sweep).items()
    }


@pytest.mark.slow
def test_three_workers_give_the_results_of_one_and_survive_kills(
    command: Callable[..., Any], tiny_overrides: list[str], workspace: Path, root: Path
) -> None:
    words = [*SWEEP, *tiny_overrides]
    done = command(*words, "paths.multirun=serial")
    assert done.returncode == 0, done.stderr
    assert "8 jobs in " in done.stdout
    assert "8 run here" in done.stdout
    expected = results(workspace / "serial")
    assert len(expected) == 8

    def start() -> subprocess.Popen[str]:
        typed = [sys.executable, str(root / "train.py"), *words, "paths.multirun=shared"]
        return subprocess.Popen(
            typed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    doomed = [start() for _ in range(3)]
    deadline = time.monotonic() + 120
    for number, worker in enumerate(doomed):
        while len(list((workspace / "shared").glob("*/*/results.json"))) < 1 + number and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(worker.pid, signal.SIGKILL)
    for worker in doomed:
        worker.communicate()
    workers = [start() for _ in range(3)]
    printed = [worker.communicate(timeout=300) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], printed
    assert results(workspace / "shared") == expected
    counts = [int(out.split(" run here")[0].split()[-1]) for out, _ in printed]
    before = [int(out.split(" done before")[0].split()[-1]) if "done before" in out else 0 for out, _ in printed]
    assert sum(counts) <= 8 - min(before)
    left = {path.name for path in (workspace / "shared").rglob(".*") if path.name != ".plan"}
    assert left == set()


@pytest.mark.slow
def test_a_plan_is_written_and_a_bad_job_refuses_the_sweep_before_it_starts(
    command: Callable[..., Any], tiny_overrides: list[str], workspace: Path
) -> None:
    done = command(*SWEEP, *tiny_overrides, "optimizer.none=1,2")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not list(workspace.glob("multirun/*/*/config.yaml"))
    done = command("-m", *tiny_overrides, "seed=0", "trainer.max_epochs=1", "callbacks=none")
    assert done.returncode == 0, done.stderr
    (plan,) = workspace.glob("multirun/*/.plan/*.json")
    (job,) = json.loads(plan.read_text())["jobs"]
    assert (plan.parents[1] / job["name"] / "results.json").exists()
