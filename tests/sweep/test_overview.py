"""What is said of a sweep follows from its folders; an index that is lost loses only jobs that have not started."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from clsnorm.command.sweep import PLANS
from clsnorm.errors import InputError
from clsnorm.files import write_sealed
from clsnorm.run_folder.holder import Holder
from clsnorm.run_folder.lease import PARENT, leased
from clsnorm.sweep.overview import plan_lines, status_lines
from clsnorm.sweep.planned_job import PlannedJob, write_plan

SETTINGS = {"model": "m", "data": "a", "rows": 100, "batch": 10, "length": 8, "epochs": 1, "max_steps": -1}


def jobs(count: int) -> list[PlannedJob]:
    return [PlannedJob(f"job-{number:05}", (f"seed={number}", "data=a"), SETTINGS, number) for number in range(count)]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Six planned jobs: two done, one failed, one interrupted, two not started; and a stranger's folder."""
    folder = tmp_path / "multirun" / "seed"
    for number in range(4):
        (folder / f"job-{number:05}").mkdir(parents=True)
        (folder / f"job-{number:05}" / "config.yaml").touch()
    write_plan(folder, jobs(6))
    write_sealed(folder / "job-00000" / "results.json", {"seconds": 60.0, "failed": True, "status": "completed"})
    write_sealed(folder / "job-00001" / "results.json", {"seconds": 60.0, "failed": False, "status": "diverged"})
    error = {"kind": "ZeroDivisionError", "message": "by zero", "traceback": ""}
    write_sealed(folder / "job-00002" / "error.json", error)
    (folder / "other").mkdir()
    (folder / "other" / "thesis.tex").touch()
    return folder


def counts(lines: list[str]) -> dict[str, int]:
    found = [line.partition("(")[0].rsplit(maxsplit=1) for line in lines if line.startswith("  ")]
    return {name.strip(): int(number) for name, number in found}


def test_each_state_is_counted_and_what_needs_attention_is_listed(sweep: Path) -> None:
    with leased(sweep / "job-00003", PARENT):
        lines = list(status_lines(sweep))
    assert counts(lines) == {"done": 2, "running": 1, "failed": 1, "not started": 2, "unknown": 1}
    assert "failed: job-00002 (ZeroDivisionError: by zero)" in lines
    assert any(line.startswith("running: job-00003 (process ") for line in lines)
    assert any("1 with a failed model, 1 diverged" in line for line in lines)
    assert any(line.startswith("time: 2 min spent; left: about 4 min of work") for line in lines)
    assert counts(list(status_lines(sweep)))["interrupted"] == 1
    assert len(list(status_lines(sweep, every=True))) == len(lines) + 4


def test_a_job_of_another_machine_that_gives_no_sign_is_interrupted(sweep: Path) -> None:
    place = sweep / "job-00003" / PARENT
    place.mkdir()
    elsewhere = replace(Holder.here(silence=60), host="n7", machine="another")
    file = place / elsewhere.token
    file.write_text(elsewhere.line() + "0" * 16 + "\n")
    assert counts(list(status_lines(sweep)))["running"] == 1
    past = time.time() - 600
    os.utime(file, (past, past))
    lines = list(status_lines(sweep))
    assert "running" not in counts(lines)
    assert any(line.startswith("interrupted: job-00003 (process ") and "no sign for 10 min" in line for line in lines)
    assert file.exists(), "status only looks"
    assert not list(sweep.glob(".now-*"))


def test_without_its_list_only_jobs_that_have_not_started_are_missing(sweep: Path) -> None:
    whole = counts(list(status_lines(sweep)))
    shutil.rmtree(sweep / PLANS)
    left = counts(list(status_lines(sweep)))
    assert left == {name: number for name, number in whole.items() if name != "not started"}


def test_a_plan_says_what_each_job_will_take(sweep: Path) -> None:
    lines = list(plan_lines(sweep, jobs(6)))
    assert lines[0] == f"{sweep}: 6 jobs, each with data=a"
    assert lines[1] == "  job-00000: seed=0 (done)"
    assert lines[5] == "  job-00004: seed=4 (not started, about 1 min)"
    assert lines[7] == "time: about 4 min on one worker"


def test_times_come_from_a_sweep_next_to_it_if_there_is_none_of_its_own(sweep: Path) -> None:
    lines = list(plan_lines(sweep.parent / "new", jobs(2)))
    assert lines[-2] == "time: about 2 min on one worker"


@pytest.mark.parametrize("name", ["none", "empty"])
def test_another_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="Expected the folder of a sweep"):
        list(status_lines(tmp_path / name))


def test_ten_thousand_jobs_are_listed_in_seconds(tmp_path: Path) -> None:
    write_plan(tmp_path, jobs(10_000))
    began = time.process_time()
    lines = list(status_lines(tmp_path, every=True))
    assert len(lines) == 10_000 + 4
    assert time.process_time() - began < 30
