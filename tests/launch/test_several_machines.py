"""One run on several machines: who leads, who joins, who is refused; and two "machines" on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from kills import contents
from slurm_cluster import SlurmCluster

from clsnorm.errors import InputError
from clsnorm.files import write_sealed
from clsnorm.launch import several_machines
from clsnorm.launch.several_machines import ADDRESS, MEETING, Meeting, join, require_tasks
from clsnorm.run_folder.lease import MACHINES, PARENT, InUseError, leased, read_holder

TASK = {"run": "r", "accelerator": "cpu", "task": "clsnorm.experiment.job:work"}
TWO = ["trainer=ddp_cpu", "trainer.devices=1", "trainer.num_nodes=2"]


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several_machines, "POLL", 0.02)
    monkeypatch.setattr(several_machines, "PATIENCE", 0.3)
    monkeypatch.setattr(several_machines, "GRACE", 0.2)


def call_meeting(folder: Path, leader: str = "") -> None:
    """As the process does that holds the lease of ``folder``, or as an earlier one did."""
    holder = read_holder(folder, PARENT)
    assert holder is not None
    meeting = Meeting(leader or holder.token, "127.0.0.1", 29500, machines=2, processes=1, run="r")
    write_sealed(folder / MEETING, asdict(meeting))


@pytest.mark.parametrize(
    ("tasks", "nodes", "fits"), [("2", "2", True), ("1", "1", True), ("4", "2", False), ("3", "3", False)]
)
def test_srun_must_start_one_task_a_machine(tasks: str, nodes: str, fits: bool) -> None:
    step = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": tasks, "SLURM_STEP_NUM_NODES": nodes}
    require_tasks(2, {})
    require_tasks(2, {"SLURM_STEP_NUM_TASKS": tasks})  # a batch script, not srun
    if fits:
        require_tasks(2, step)
    else:
        with pytest.raises(InputError, match=rf"got {tasks} tasks on {nodes}.*--ntasks-per-node=1"):
            require_tasks(2, step)


def test_nobody_joins_a_run_that_calls_no_other_machine(tmp_path: Path) -> None:
    assert not join(tmp_path, machines=2, processes=1, **TASK)
    with leased(tmp_path, PARENT):
        assert not join(tmp_path, machines=2, processes=1, **TASK)


def test_the_meeting_of_a_killed_leader_is_not_joined(tmp_path: Path) -> None:
    with leased(tmp_path, PARENT):
        call_meeting(tmp_path, leader="f" * 32)
        assert not join(tmp_path, machines=2, processes=1, **TASK)


@pytest.mark.parametrize(("machines", "processes"), [(3, 1), (2, 4)])
def test_unlike_commands_are_refused(tmp_path: Path, machines: int, processes: int) -> None:
    with leased(tmp_path, PARENT):
        call_meeting(tmp_path)
        with pytest.raises(InputError, match=rf"num_nodes=2 and 1 devices.* got {machines} and {processes}"):
            join(tmp_path, machines=machines, processes=processes, **TASK)


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    with leased(tmp_path, PARENT):
        call_meeting(tmp_path)
        with pytest.raises(InputError, match="another configuration"):
            join(tmp_path, machines=2, processes=1, **TASK | {"run": "s"})


def test_one_machine_too_many_is_refused(tmp_path: Path) -> None:
    with leased(tmp_path, PARENT), leased(tmp_path, f"{MACHINES}-1.lease"):
        call_meeting(tmp_path)
        with pytest.raises(InUseError, match="all 2 machines are there"):
            join(tmp_path, machines=2, processes=1, **TASK)


@pytest.mark.parametrize("is_there", [True, False])
def test_workers_are_not_awaited_once_a_machine_has_left(tmp_path: Path, is_there: bool) -> None:
    seconds = 0.5 if is_there else 60
    workers = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])
    try:
        with leased(tmp_path, PARENT):
            others = [PARENT] if is_there else [PARENT, f"{MACHINES}-1.lease"]
            lost = several_machines._watch(tmp_path, workers, others)
        assert bool(lost) is not is_there
        assert (workers.returncode is None) is not is_there
    finally:
        workers.kill()
        workers.wait()


def start(words: list[str], folder: Path, root: Path) -> subprocess.Popen[str]:
    typed = [sys.executable, str(root / "train.py"), *words, f"hydra.run.dir={folder}"]
    environment = {**os.environ, ADDRESS: "127.0.0.1"}
    return subprocess.Popen(typed, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("leads", [True, False])
def test_two_machines_give_the_numbers_of_two_processes_and_a_lost_one_ends_the_run(
    command: Callable[..., Any], tiny_overrides: list[str], workspace: Path, root: Path, leads: bool
) -> None:
    words = [*tiny_overrides, "trainer.log_every_n_steps=1", "checkpoint_every=5", "callbacks=none"]
    done = command(*words, "trainer=ddp_cpu", "hydra.run.dir=single")
    assert done.returncode == 0, done.stderr
    expected = contents(workspace / "single")

    folder = workspace / "several"
    both = [start([*words, *TWO], folder, root) for _ in range(2)]
    deadline = time.monotonic() + 240
    while not (folder / "last.ckpt").exists() and time.monotonic() < deadline and both[0].poll() is None:
        time.sleep(0.02)
    holder = read_holder(folder, PARENT)
    assert holder is not None
    victim, other = sorted(both, key=lambda one: (one.pid == holder.process) is not leads)
    victim.send_signal(signal.SIGKILL)
    _, printed = other.communicate(timeout=120)
    victim.communicate()
    assert other.returncode == 1, printed
    assert "resumes" in printed.strip().splitlines()[-1]

    both = [start([*words, *TWO], folder, root) for _ in range(2)]
    printed = [one.communicate(timeout=300) for one in both]  # type: ignore[assignment]
    assert [one.returncode for one in both] == [0, 0], printed
    found = contents(folder)
    for name in ("metrics", "predictions", "weights"):
        assert found[name] == expected[name], name
    assert found["results"]["devices"] == 2
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_srun_starts_a_machine_s_part_on_each_node(
    slurm: SlurmCluster, command: Callable[..., Any], tiny_overrides: list[str], workspace: Path, root: Path
) -> None:
    words = [*tiny_overrides, "trainer.log_every_n_steps=1", "callbacks=none"]
    done = command(*words, "trainer=ddp_cpu", "hydra.run.dir=single")
    assert done.returncode == 0, done.stderr

    typed = [sys.executable, str(root / "train.py"), *words, *TWO, f"hydra.run.dir={workspace / 'several'}"]
    environment = {**slurm.environment, ADDRESS: "127.0.0.1"}
    started = ["srun", "--nodes=2", "--ntasks-per-node=1", "--immediate=60", *typed]
    ended = subprocess.run(started, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    expected, found = contents(workspace / "single"), contents(workspace / "several")
    for name in ("metrics", "predictions", "weights"):
        assert found[name] == expected[name], name


@pytest.mark.slow
def test_a_sweep_is_refused_in_one_line(command: Callable[..., Any], tiny_overrides: list[str]) -> None:
    done = command("-m", *tiny_overrides, *TWO, "seed=0,1")
    assert done.returncode == 2
    assert "Type the sweep's command on each machine" in done.stdout + done.stderr
