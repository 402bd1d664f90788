"""Workers share jobs through leases: each job once, whoever is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from clsnorm.errors import LostLeaseError
from clsnorm.files import write_sealed
from clsnorm.run_folder.holder import Holder
from clsnorm.run_folder.lease import PARENT, InUseError
from clsnorm.sweep import shared_work
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.shared_work import SharedWork, Tally

JOBS = [PlannedJob(f"job-{number:02}", (), {}) for number in range(4)]
ERROR = {"kind": "ZeroDivisionError", "message": "", "traceback": ""}


def sized(number: int, epochs: int) -> PlannedJob:
    settings = {"rows": 100, "batch": 10, "length": 8, "epochs": epochs, "max_steps": -1}
    return PlannedJob(f"job-{number:02}", (), settings)


@pytest.fixture(autouse=True)
def short_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_work, "POLL", 0.02)


def names(jobs: list[PlannedJob]) -> list[str]:
    return [job.name for job in jobs]


def run_all(folder: Path, jobs: list[PlannedJob], **options: bool) -> tuple[list[str], Tally]:
    """The order in which jobs run, each of which ends well, and where they are at the end."""
    ran: list[str] = []

    def run(job: PlannedJob) -> bool:
        ran.append(job.name)
        write_sealed(folder / job.name / "results.json", {})
        return True

    work = SharedWork(folder, jobs, **options)
    work.run(run, wait=True, idle=lambda number: None)
    return ran, work.tally


def test_the_longest_expected_job_is_first(tmp_path: Path) -> None:
    ran, _ = run_all(tmp_path, [sized(0, 1), sized(1, 9), sized(2, 4)])
    assert ran == ["job-01", "job-02", "job-00"]


def test_what_is_done_is_not_run_again_unless_forced(tmp_path: Path) -> None:
    run_all(tmp_path, JOBS[:2])
    ran, tally = run_all(tmp_path, JOBS)
    assert ran == names(JOBS[2:])
    assert tally == Tally(before=JOBS[:2], here=JOBS[2:])
    ran, tally = run_all(tmp_path, JOBS, force=True)
    assert ran == names(JOBS)
    assert tally == Tally(here=JOBS)


@pytest.mark.parametrize("is_empty", [False, True])
def test_what_a_process_killed_after_its_results_has_left_is_removed(tmp_path: Path, is_empty: bool) -> None:
    run_all(tmp_path, JOBS[:1])
    place = tmp_path / JOBS[0].name / PARENT
    place.mkdir()
    if not is_empty:
        gone = replace(Holder.here(silence=60), start="1")  # an earlier process of this number
        (place / gone.token).write_text(gone.line() + "0" * 16 + "\n")
    left = [place.with_name(name) for name in ("last.ckpt", "error.json")]
    for path in left:
        path.write_bytes(b"")
    ran, tally = run_all(tmp_path, JOBS[:1])
    assert not ran
    assert tally == Tally(before=JOBS[:1])
    assert not place.exists()
    assert not any(path.exists() for path in left)


def test_a_failure_costs_one_job_and_is_tried_again_by_the_next_command_only(tmp_path: Path) -> None:
    for _ in range(2):
        ran = []

        def run(job: PlannedJob) -> bool:
            ran.append(job)  # noqa: B023
            write_sealed(tmp_path / job.name / ("error.json" if job == JOBS[1] else "results.json"), ERROR)
            return job != JOBS[1]

        work = SharedWork(tmp_path, JOBS)
        work.run(run, wait=True, idle=lambda number: None)
        assert work.tally.failed == [JOBS[1]]
        assert ran.count(JOBS[1]) == 1


def test_what_others_end_meanwhile_is_counted_there(tmp_path: Path) -> None:
    write_sealed(tmp_path / JOBS[2].name / "error.json", ERROR)  # of an earlier command: is tried again
    ran = []

    def run(job: PlannedJob) -> bool:
        ran.append(job)
        write_sealed(tmp_path / JOBS[1].name / "results.json", {})
        write_sealed(tmp_path / JOBS[3].name / "error.json", ERROR)
        return True

    work = SharedWork(tmp_path, JOBS)
    work.run(run, wait=True, idle=lambda number: None)
    assert ran == [JOBS[0], JOBS[2]]
    assert work.tally == Tally(here=[JOBS[0], JOBS[2]], elsewhere=[JOBS[1]], failed=[JOBS[3]])


@pytest.mark.parametrize("error", [InUseError("taken"), LostLeaseError(0, "", "")])
def test_a_job_that_another_worker_got_is_looked_at_again(tmp_path: Path, error: Exception) -> None:
    tries = []

    def run(job: PlannedJob) -> bool:
        tries.append(job)
        if len(tries) == 1:
            raise error
        return True

    work = SharedWork(tmp_path, JOBS[:1])
    work.run(run, wait=True, idle=lambda number: None)
    assert len(tries) == 2
    assert work.tally.here == JOBS[:1]


WORKER = """
import json, os, random, sys, time
from pathlib import Path
from clsnorm.files import append, write_sealed
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.claim import Claim
from clsnorm.sweep import shared_work
from clsnorm.sweep.planned_job import PlannedJob

shared_work.POLL = 0.05
folder, seed = Path(sys.argv[1]), int(sys.argv[2])
draw = random.Random(seed)

def run(job):
    place = RunFolder(folder / job.name)
    place.path.mkdir(exist_ok=True)
    with Claim(place).hold({"config_hash": job.name, "force": False}, patient=False) as done:
        assert done is None
        log = place.path / "log"
        log.touch()
        append(log, f"begin {os.getpid()}\\n")
        time.sleep(draw.uniform(0.02, 0.12))
        append(log, f"end {os.getpid()}\\n")
        write_sealed(place.results, {"value": job.name})
    return True

work = shared_work.SharedWork(folder, [PlannedJob(f"job-{n:02}", (), {}) for n in range(12)])
print("ready", flush=True)
sys.stdin.readline()
work.run(run, wait=True, idle=lambda number: None)
"""


def start(folder: Path, seed: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WORKER, str(folder), str(seed)]
    worker = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def go(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()


def logs(folder: Path) -> dict[str, list[str]]:
    return {path.parent.name: path.read_text().split("\n")[:-1] for path in sorted(folder.glob("job-*/log"))}


def test_three_workers_do_each_job_once(tmp_path: Path) -> None:
    workers = [start(tmp_path, seed) for seed in range(3)]
    for worker in workers:
        go(worker)
    for worker in workers:
        assert worker.wait(timeout=120) == 0
        worker.communicate()
    found = logs(tmp_path)
    assert len(found) == 12
    assert all([line.split()[0] for line in lines] == ["begin", "end"] for lines in found.values())
    assert all(len({line.split()[1] for line in lines}) == 1 for lines in found.values())
    assert len({lines[0].split()[1] for lines in found.values()}) > 1, "one worker did everything"
    assert sorted(path.name for path in (tmp_path / "job-00").iterdir()) == ["config.yaml", "log", "results.json"]


def test_killed_workers_lose_only_their_current_job(tmp_path: Path) -> None:
    draw = random.Random(0)
    for number in range(6):
        worker = start(tmp_path, number)
        go(worker)
        time.sleep(draw.uniform(0.02, 0.25))
        os.kill(worker.pid, signal.SIGKILL)
        worker.communicate()
    last = start(tmp_path, 9)
    go(last)
    assert last.wait(timeout=120) == 0
    last.communicate()
    for lines in logs(tmp_path).values():
        assert [line.split()[0] for line in lines].count("end") in (1, 2)  # 2: killed before results.json
        assert len(list(tmp_path.glob("job-*/results.json"))) == 12
