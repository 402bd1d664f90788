"""The command knows how each job of a sweep ended, even if it ran in another process."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from clsnorm.command.status import run_command
from clsnorm.command.sweep import RECORDS, OutputFolders, conclude, record_others, reporting
from clsnorm.errors import InputError

JOB = """
import os, sys
from pathlib import Path
from clsnorm.command.sweep import reporting
from clsnorm.errors import InputError

folder, end = Path(sys.argv[1]), sys.argv[2]
with reporting(folder / "results.json"):
    folder.mkdir(parents=True)
    if end == "refused":
        folder.rmdir()
        raise InputError("a bad value")
    if end == "crashed":
        raise ZeroDivisionError("a bug")
    if end == "killed":
        os._exit(9)
    (folder / "results.json").write_text("{}")
"""


@pytest.fixture
def start(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Starts a sweep, as Hydra does before it launches jobs."""
    monkeypatch.setattr(sys, "argv", ["train.py", "-m"])

    def start() -> None:
        OutputFolders().on_multirun_start(OmegaConf.create({"hydra": {"sweep": {"dir": "sweeps/adhoc"}}}))
        Path("sweeps/adhoc").mkdir(parents=True)
        Path("sweeps/adhoc/multirun.yaml").touch()

    yield start
    os.environ.pop(RECORDS, None)


def in_other_processes(*ends: str) -> str:
    """Runs a job for each of ``ends``, as a launcher such as joblib would; returns their logs."""
    printed = ""
    for number, end in enumerate(ends):
        words = [sys.executable, "-c", JOB, str(Path(f"sweeps/adhoc/job-{number}").absolute()), end]
        printed += subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stderr
    return printed


@pytest.mark.parametrize(
    ("ends", "status", "failed"),
    [
        (["finished", "refused"], 2, 1),
        (["refused", "crashed", "finished"], 1, 2),
        (["killed"], 1, 1),
        (["finished"], 0, 0),
    ],
)
@pytest.mark.parametrize("hydra_raises", [True, False])  # a launcher may raise the first error, or none
def test_jobs_of_other_processes_are_counted(
    start: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
    ends: list[str],
    status: int,
    failed: int,
    hydra_raises: bool,
) -> None:
    def task() -> None:
        start()
        logged = in_other_processes(*ends)
        assert logged.count("job-0: refused: a bad value") == (ends[0] == "refused")
        if failed and hydra_raises:
            raise RuntimeError("a copy of the first job's error, from another process")

    assert run_command(task) == status
    printed = capsys.readouterr().err
    assert (f"error: {failed} of the sweep's runs failed" in printed) == bool(failed)
    assert not list(Path("sweeps/adhoc").glob(".jobs-*"))
    assert RECORDS not in os.environ


def test_an_error_of_the_sweeper_is_raised(start: Callable[[], None]) -> None:
    def task() -> None:
        start()
        in_other_processes("finished")
        raise ZeroDivisionError("a sweeper's bug")

    with pytest.raises(ZeroDivisionError):
        run_command(task)


def test_a_refused_sweep_leaves_no_folder(start: Callable[[], None]) -> None:
    def task() -> None:
        start()
        in_other_processes("refused", "refused")

    assert run_command(task) == 2
    assert not Path("sweeps").exists()


def test_other_commands_may_sweep_in_the_same_folder(start: Callable[[], None]) -> None:
    start()
    other = Path("sweeps/adhoc/.jobs-other")
    other.mkdir()
    (other / "one.json").write_text(json.dumps({"results": "gone", "refused": False}))
    in_other_processes("finished")
    assert conclude() == {"finished": 1}
    assert other.exists()


def test_a_single_run_leaves_no_record(workspace: Path) -> None:
    with pytest.raises(InputError), reporting(workspace / "run" / "results.json"):
        raise InputError("a bad value")
    assert not list(workspace.iterdir())
    assert not conclude()


def test_records_of_a_killed_command_are_removed_and_those_of_a_running_one_stay(start: Callable[[], None]) -> None:
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    folders = [Path(f"sweeps/adhoc/.jobs-{platform.node()}-{process}-abc") for process in (killed.pid, os.getpid())]
    for folder in (*folders, Path(f"sweeps/adhoc/.jobs-elsewhere-{killed.pid}-abc")):
        folder.mkdir(parents=True)
    OutputFolders().on_multirun_start(OmegaConf.create({"hydra": {"sweep": {"dir": "sweeps/adhoc"}}}))
    assert Path(f"sweeps/adhoc/.jobs-elsewhere-{killed.pid}-abc").exists()
    assert not folders[0].exists()
    assert folders[1].exists()


def test_jobs_that_other_commands_ran_count_too(start: Callable[[], None]) -> None:
    start()
    in_other_processes("finished", "crashed")
    done, failed = (Path(f"sweeps/adhoc/other-{number}").absolute() for number in range(2))
    done.mkdir()
    (done / "results.json").touch()
    record_others([done / "results.json", failed / "results.json"])
    assert conclude() == {"finished": 2, "crashed": 2}
