"""Workers side by side: each job once, whatever becomes of the workers."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clsnorm.command.sweep import RECORDS, conclude
from clsnorm.errors import InputError
from clsnorm.launch.one_machine import WorkerError
from clsnorm.sweep import crew, worker_process
from clsnorm.sweep.crew import Crew
from clsnorm.sweep.job_state import FAILED, look
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.progress_line import ProgressLine
from clsnorm.sweep.shared_work import SharedWork
from clsnorm.sweep.slots import Slot

# A command that shares the jobs of a sweep; what becomes of each is in its name.
WORKER = """
import os, signal, sys, time
from pathlib import Path
from clsnorm.command import sweep
from clsnorm.errors import InputError
from clsnorm.files import write_sealed
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.claim import Claim
from clsnorm.run_folder.error import write_error
from clsnorm.sweep import shared_work
from clsnorm.sweep.baseline import Baseline
from clsnorm.sweep.planned_job import PlannedJob

shared_work.POLL = 0.02
folder = Path(sys.argv[1])

def run(job):
    place = RunFolder(folder / job.name)
    kind = job.name.rpartition("-")[2]
    try:
        with sweep.reporting(place.results):
            with Claim(place).hold({"config_hash": job.name, "force": False}, patient=False):
                if kind == "refused":
                    raise InputError("no such value")
                (place.path / f"tried-{os.getpid()}").touch()
                if kind == "kills" or (kind == "once" and len(list(place.path.glob("tried-*"))) == 1):
                    os.kill(os.getpid(), signal.SIGKILL)
                if kind == "crashes":
                    error = ValueError("too small")
                    write_error(place.error, error, parent_reports=False)
                    raise error
                if kind == "unwritable":
                    raise OSError("no space")
                time.sleep(0.05 if kind == "ends" else 60)
                write_sealed(place.results, {"device": os.environ.get("CUDA_VISIBLE_DEVICES"), "seconds": 0.05})
        return True
    except Exception as error:
        if isinstance(error, InputError) and "running in it" in str(error):
            raise
        return False

jobs = [PlannedJob(name, (), {}) for name in sys.argv[2:]]
work = shared_work.SharedWork(folder, jobs, baseline=Baseline.read(Path(os.environ[sweep.WORKER]), jobs))
ended = {Path(record["results"]).parent.name for record in sweep.records() if record["message"]}
for job in [job for job in jobs if job in work.tally.left and job.name in ended]:
    work.give_up(job, None)
work.run(run, wait=False, idle=lambda number: None)
"""


@pytest.fixture(autouse=True)
def records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The command's own records, which its workers inherit."""
    monkeypatch.setattr(crew, "PAUSE", 0.02)
    monkeypatch.setenv(RECORDS, str(tmp_path / f".jobs-here-{os.getpid()}-abc"))
    yield
    os.environ.pop(RECORDS, None)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[SharedWork, str]]:
    """Runs jobs in two workers; returns what became of them, and what was shown."""

    def run(*names: str, code: str = WORKER) -> tuple[SharedWork, str]:
        words = [sys.executable, "-c", code, str(tmp_path), *names]
        monkeypatch.setattr(worker_process, "own_command", lambda: words)
        work = SharedWork(tmp_path, [PlannedJob(name, (), {}) for name in names])
        stream = io.StringIO()
        line = ProgressLine(work.tally, "sweep", stream)
        places = [Slot(1, (device,)) for device in ("a", "b")]
        Crew(tmp_path, work, places, tmp_path / ".workers").run(line, wait=True)
        return work, stream.getvalue()

    return run


def names(jobs: list[PlannedJob]) -> list[str]:
    return sorted(job.name for job in jobs)


def test_each_job_runs_once_and_each_worker_has_its_device(
    run: Callable[..., tuple[SharedWork, str]], tmp_path: Path
) -> None:
    wanted = [f"{number}-ends" for number in range(12)]
    work, shown = run(*wanted)
    assert names(work.tally.elsewhere) == sorted(wanted)
    assert not work.tally.left
    used = {look(tmp_path / name).results["device"] for name in wanted}
    assert used == {"a", "b"}
    assert all(len(list((tmp_path / name).glob("tried-*"))) == 1 for name in wanted)
    assert shown.splitlines()[0] == "sweep: 12 jobs"
    assert shown.splitlines()[-1].endswith("12 of 12 done")
    assert not (tmp_path / ".workers").exists(), "the workers ended well"
    assert conclude() == {"finished": 12}


@pytest.mark.slow
def test_failures_cost_one_job_each_and_are_explained(
    run: Callable[..., tuple[SharedWork, str]], tmp_path: Path
) -> None:
    work, shown = run("0-ends", "1-crashes", "2-refused", "3-unwritable", "4-ends", "5-kills", "6-once", "7-ends")
    assert names(work.tally.elsewhere) == ["0-ends", "4-ends", "6-once", "7-ends"]
    assert names(work.tally.failed) == ["1-crashes", "2-refused", "3-unwritable", "5-kills"]
    assert "1-crashes: failed: ValueError: too small" in shown
    assert "2-refused: refused: no such value" in shown
    assert "3-unwritable: failed: no space" in shown
    assert "5-kills: failed: WorkerError: 2 of its processes were killed by SIGKILL, perhaps for lack" in shown
    assert look(tmp_path / "5-kills").state == FAILED
    tries = {name: len(list((tmp_path / name).glob("tried-*"))) for name in ("1-crashes", "5-kills", "6-once")}
    assert tries.pop("5-kills") in (2, 3), "another worker may be faster than the one that notices the deaths"
    assert tries == {"1-crashes": 1, "6-once": 2}
    assert conclude() == {"finished": 4, "crashed": 3, "refused": 1}


def test_ctrl_c_ends_all_workers(
    run: Callable[..., tuple[SharedWork, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[worker_process.WorkerProcess] = []

    class Noted(worker_process.WorkerProcess):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            started.append(self)

    monkeypatch.setattr(crew, "WorkerProcess", Noted)
    threading.Thread(target=_press, args=(tmp_path,), daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run("0-sleeps", "1-sleeps", "2-ends")
    assert len(started) == 2
    assert all(worker.status() is not None for worker in started)
    assert not list(tmp_path.glob("*/results.json"))


def _press(folder: Path) -> None:
    while len(list(folder.glob("*/tried-*"))) < 2:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (
            "import sys; sys.exit('error: a bug')",
            WorkerError,
            "ended with status 1 before it began a job: error: a bug",
        ),
        ("import sys; print('error: no such key'); sys.exit(2)", InputError, "^no such key$"),
        ("import os; os.kill(os.getpid(), 9)", WorkerError, "ended with status -9 before it began a job"),
    ],
)
def test_workers_that_cannot_begin_end_the_command(
    run: Callable[..., tuple[SharedWork, str]], code: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run("0-ends", code=code)
