"""States of jobs come from their folders alone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from clsnorm.files import write_sealed
from clsnorm.run_folder.holder import Holder
from clsnorm.run_folder.lease import PARENT, leased
from clsnorm.sweep.job_state import (
    DONE,
    FAILED,
    INTERRUPTED,
    NOT_STARTED,
    RESULTS,
    RUNNING,
    UNKNOWN,
    JobState,
    look,
    look_at_all,
    results_of,
)
from clsnorm.sweep.planned_job import PlannedJob

ERROR = {"kind": "ZeroDivisionError", "message": "by\nzero", "traceback": "..."}


def job(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_a_job_that_is_done(tmp_path: Path) -> None:
    folder = job(tmp_path / "a", "config.yaml")
    write_sealed(folder / "results.json", {"seconds": 3.0})
    assert look(folder) == JobState(folder, DONE)
    assert look(folder).results == {"seconds": 3.0}


def test_a_job_that_is_running_says_where_and_since_when(tmp_path: Path) -> None:
    folder = job(tmp_path / "a", "config.yaml", "error.json")
    with leased(folder, PARENT):
        found = look(folder)
    assert found.state == RUNNING
    assert found.note.startswith(f"process {os.getpid()} of ")
    assert " since 20" in found.note


def test_the_lease_of_a_dead_process_is_none(tmp_path: Path) -> None:
    folder = job(tmp_path / "a", "config.yaml")
    (folder / PARENT).mkdir()
    (folder / PARENT / "x").write_text(replace(Holder.here(silence=9), start="1").line())
    assert look(folder).state == INTERRUPTED


def test_a_failed_job_says_why(tmp_path: Path) -> None:
    folder = job(tmp_path / "a", "config.yaml")
    write_sealed(folder / "error.json", ERROR)
    assert look(folder) == JobState(folder, FAILED, "ZeroDivisionError: by zero")


@pytest.mark.parametrize(
    ("names", "state"),
    [(["config.yaml", "last.ckpt"], INTERRUPTED), ([], NOT_STARTED), ([".draft-a"], NOT_STARTED), (["a.txt"], UNKNOWN)],
)
def test_other_folders(tmp_path: Path, names: list[str], state: str) -> None:
    assert look(job(tmp_path / "a", *names)).state == state


@pytest.mark.parametrize("name", ["results.json", "error.json"])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    found = look(job(tmp_path / "a", "config.yaml", name))
    assert found.state == UNKNOWN
    assert name in found.note


def test_planned_jobs_and_other_folders_are_listed(tmp_path: Path) -> None:
    job(tmp_path / "b", "config.yaml")
    job(tmp_path / ".plan", "config.yaml")
    (tmp_path / "multirun.yaml").touch()
    found = look_at_all(tmp_path, [PlannedJob("a", ()), PlannedJob("b", ())])
    assert [(state.folder.name, state.state) for state in found] == [("a", NOT_STARTED), ("b", INTERRUPTED)]
    assert look_at_all(tmp_path / "none", []) == []


@pytest.mark.parametrize("name", RESULTS)
def test_the_file_that_marks_a_job_as_done_is_found(tmp_path: Path, name: str) -> None:
    assert results_of(tmp_path) == tmp_path / "results.json"
    (tmp_path / name).touch()
    assert results_of(tmp_path) == tmp_path / name
