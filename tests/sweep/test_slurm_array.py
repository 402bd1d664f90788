"""`hydra/launcher=slurm`: what is submitted, against a stand-in, and whole sweeps on a real SLURM of two nodes."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runs import rows
from slurm_cluster import SlurmCluster

from clsnorm.errors import InputError
from clsnorm.files import write_sealed
from clsnorm.launch import interruption
from clsnorm.sweep import SlurmArray, slurm_array, slurm_commands
from clsnorm.sweep.overview import status_lines
from clsnorm.sweep.planned_job import PlannedJob, write_plan
from clsnorm.sweep.shared_work import SharedWork
from clsnorm.sweep.slurm_commands import NoAnswerError, Queued
from clsnorm.sweep.submission import submissions

OPTIONS: dict[str, Any] = {
    "workers": 3,
    "timeout_min": 60,
    "signal_delay_s": 120,
    "cpus_per_task": 1,
    "gpus_per_node": None,
    "mem_gb": None,
    "wait": False,
    "quiet": True,
}
JOBS = [PlannedJob(f"job-{number}", (), {"accelerator": "auto", "devices": 1}) for number in range(5)]


class Cluster:
    """A stand-in: a queue of workers that never run."""

    def __init__(self) -> None:
        self.queue: list[Queued] = []
        self.options: list[list[str]] = []
        self.fault: Exception | None = None

    def submit(self, script: Path, options: list[str]) -> str:
        self.options.append(options)
        found = dict(option.removeprefix("--").partition("=")[::2] for option in options)
        if not self.fault or isinstance(self.fault, NoAnswerError):
            last = int(found["array"].partition("-")[2])
            self.queue += [Queued(f"7_{number}", found["job-name"], "PENDING") for number in range(last + 1)]
        if self.fault:
            raise self.fault
        return "7"

    def queued(self, names: list[str], *, answer: float = 0.0) -> list[Queued]:
        return [job for job in self.queue if job.name in names]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster()
    monkeypatch.setattr(slurm_commands, "submit", found.submit)
    monkeypatch.setattr(slurm_commands, "queued", found.queued)
    return found


def launch(folder: Path, jobs: list[PlannedJob] = JOBS, **options: Any) -> None:
    launcher = SlurmArray(**OPTIONS | options)
    launcher._work, launcher._returns = SharedWork(folder, jobs), []
    launcher._start_workers(folder, jobs)


def test_as_many_workers_are_submitted_as_are_missing(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launch(tmp_path, partition="gpu", gpus_per_node=1, mem_gb=8)
    assert len(cluster.queue) == 3
    (options,) = cluster.options
    wanted = {"--array=0-2", "--partition=gpu", "--gpus-per-node=1", "--mem=8G", "--time=60", "--requeue"}
    assert wanted | {"--signal=B:USR1@120", "--cpus-per-task=1"} <= set(options)
    assert "submitted 3 workers as job 7" in capsys.readouterr().out
    launch(tmp_path)
    assert "3 pending workers of SLURM share this sweep already" in capsys.readouterr().out
    assert len(cluster.options) == 1
    del cluster.queue[1:]
    launch(tmp_path)
    assert "--array=0-1" in cluster.options[-1]
    assert len(cluster.queue) == 3


def test_no_more_workers_than_jobs_and_none_for_what_is_done(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launch(tmp_path, JOBS[:2])
    assert len(cluster.queue) == 2
    cluster.queue.clear()
    for job in JOBS[:2]:
        write_sealed(tmp_path / job.name / "results.json", {})
    launch(tmp_path, JOBS[:2])
    assert len(cluster.options) == 1
    assert "2 done before" in capsys.readouterr().out
    assert not [*submissions(tmp_path)], "what is left of workers that have ended"


def test_a_submission_whose_answer_was_lost_is_not_repeated(cluster: Cluster, tmp_path: Path) -> None:
    cluster.fault = NoAnswerError("silence")
    with pytest.raises(NoAnswerError):
        launch(tmp_path)
    (known,) = submissions(tmp_path)
    assert known.job() is None
    cluster.fault = None
    launch(tmp_path)
    assert len(cluster.options) == 1
    assert len(cluster.queue) == 3


def test_a_refused_submission_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    cluster.fault = InputError("no such partition")
    with pytest.raises(InputError, match="no such partition"):
        launch(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, r"hydra\.launcher\.workers"),
        ({"timeout_min": "1:00"}, r"hydra\.launcher\.timeout_min"),
        ({"timeout_min": 1, "signal_delay_s": 60}, r"hydra\.launcher\.signal_delay_s"),
        ({"gpus_per_node": 0}, r"hydra\.launcher\.gpus_per_node"),
        ({"wait": "no"}, r"hydra\.launcher\.wait"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SlurmArray(**OPTIONS | options)


def test_workers_too_small_for_a_job_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    two = [PlannedJob("job", (), {"accelerator": "cpu", "devices": 2})]
    with pytest.raises(InputError, match=r"cpus_per_task=2"):
        launch(tmp_path, two)
    launch(tmp_path, two, cpus_per_task=2)
    both = [PlannedJob("job", (), {"accelerator": "gpu", "devices": 2})]
    with pytest.raises(InputError, match=r"gpus_per_node=2"):
        launch(tmp_path, both, gpus_per_node=1)


def test_status_shows_the_workers(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plan(tmp_path, JOBS)
    launch(tmp_path)
    assert "workers of SLURM: 3 pending" in [*status_lines(tmp_path)]
    cluster.queue.clear()
    assert any(line.startswith("workers of SLURM: none; ") for line in status_lines(tmp_path))

    def silent(*_: Any, **__: Any) -> None:
        raise NoAnswerError("silence")

    monkeypatch.setattr(slurm_commands, "queued", silent)
    assert any(line.startswith("workers of SLURM: unknown") for line in status_lines(tmp_path))


def _interrupted_by(number: int) -> None:
    with slurm_array.requeueing():
        os.kill(os.getpid(), number)
        assert interruption.announced() == number
        raise KeyboardInterrupt


@pytest.mark.parametrize(("number", "asked"), [(signal.SIGUSR1, ["31_2"]), (signal.SIGTERM, [])])
def test_a_time_limit_requeues_and_a_preemption_is_left_to_slurm(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, asked: list[str]
) -> None:
    requeued: list[str] = []
    monkeypatch.setattr(slurm_commands, "requeue", requeued.append)
    for name, value in {"SLURM_JOB_ID": "31", slurm_array.ARRAY: "31", slurm_array.TASK: "2"}.items():
        monkeypatch.setenv(name, value)
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGUSR1, signal.SIGTERM)}
    try:
        with pytest.raises(KeyboardInterrupt):
            _interrupted_by(number)
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
    assert requeued == asked
    assert not interruption.is_expected()


def wait_until(condition: Callable[[], Any], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def workers(slurm: SlurmCluster) -> list[str]:
    """The jobs of SLURM that are waiting or running."""
    return slurm.run("squeue", "-h", "-r", "-o", "%i").split()


SWEEP = ["-m", "trainer.max_epochs=1", "callbacks=none", "hydra/launcher=slurm", "paths.multirun=sweeps"]


@pytest.mark.slow
def test_a_sweep_on_two_nodes_with_a_failing_job(
    slurm: SlurmCluster, command: Callable[..., Any], tiny_overrides: list[str], workspace: Path
) -> None:
    words = [*SWEEP, *tiny_overrides, "seed=0,1,-1", "hydra.launcher.cpus_per_task=2"]
    begun = command(*words, env=slurm.environment)
    assert begun.returncode == 0, begun.stderr
    assert "submitted 2 workers as job" in begun.stdout
    (sweep,) = (workspace / "sweeps").iterdir()
    again = command(*words, env=slurm.environment)
    assert again.returncode == 0, again.stderr
    assert len([*submissions(sweep)]) == 1, "typed again, it submits no more"
    number = re.search("as job ([0-9]+)", begun.stdout)
    assert number is not None
    wait_until(lambda: not workers(slurm))
    assert len(list(sweep.glob("*/results.json"))) == 2
    assert "FAILED" in {slurm.state(f"{number[1]}_{task}") for task in range(2)}, "SLURM knows of the failure"
    waited = command(*words, "hydra.launcher.wait=true", env=slurm.environment)
    assert waited.returncode == 1 or waited.returncode == 2
    assert "2 done before" in waited.stdout


@pytest.mark.slow
def test_a_job_near_its_time_limit_stores_a_resume_point_and_is_requeued(
    slurm: SlurmCluster, command: Callable[..., Any], tiny_overrides: list[str], workspace: Path
) -> None:
    long = ["trainer.max_epochs=1", "trainer.max_steps=-1", "data.batch_size=1", "trainer.log_every_n_steps=1"]
    words = [*SWEEP, *tiny_overrides, *long, "seed=0", "checkpoint_every=100000", "hydra.launcher.workers=1"]
    begun = command(*words, env=slurm.environment)
    assert begun.returncode == 0, begun.stderr
    (sweep,) = (workspace / "sweeps").iterdir()
    wait_until(lambda: [path for path in sweep.glob("*/metrics.csv") if len(rows(path)) > 5])
    (job,) = workers(slurm)
    slurm.run("scancel", "--batch", "--signal=USR1", job)  # as before the limit
    wait_until(lambda: not workers(slurm))
    (events,) = sweep.glob("*/events.csv")
    resumed = [row for row in rows(events) if row["kind"] == "resumed"]
    assert len(resumed) == 1
    assert int(resumed[0]["step"]) > 5
    assert len(list(sweep.glob("*/results.json"))) == 1
    assert slurm.state(job) == "COMPLETED"
    assert "Restarts=1" in slurm.run("scontrol", "-o", "show", "job", job)


@pytest.mark.slow
def test_a_cluster_that_refuses_or_is_silent_is_one_line(
    slurm: SlurmCluster, command: Callable[..., Any], tiny_overrides: list[str], tmp_path: Path
) -> None:
    words = [*SWEEP, *tiny_overrides, "seed=0"]
    refused = command(*words, "hydra.launcher.partition=nowhere", env=slurm.environment)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "invalid partition specified: nowhere" in refused.stderr
    away = tmp_path / "away.conf"
    text = slurm.configuration.read_text()
    away.write_text(re.sub("SlurmctldPort=.*", "SlurmctldPort=1\nMessageTimeout=2", text))
    silent = command(*words, env={**slurm.environment, "SLURM_CONF": str(away)})
    assert silent.returncode == 2
    assert len(silent.stderr.splitlines()) == 1
    assert "Expected SLURM to answer sbatch, but it does not" in silent.stderr
