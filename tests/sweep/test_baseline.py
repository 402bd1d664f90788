"""What was there when a command began counts for all its workers, however late they begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from clsnorm.errors import InputError
from clsnorm.files import write_sealed
from clsnorm.sweep.baseline import Baseline
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.shared_work import SharedWork

ERROR = {"kind": "ZeroDivisionError", "message": "", "traceback": ""}
JOBS = [PlannedJob(name, (), {}) for name in ("a", "b", "c")]


def test_a_late_worker_leaves_what_its_own_command_did(tmp_path: Path) -> None:
    write_sealed(tmp_path / "a" / "error.json", ERROR)
    write_sealed(tmp_path / "c" / "results.json", {})
    Baseline.now(tmp_path, JOBS, force=True).write(tmp_path / "baseline.json")
    write_sealed(tmp_path / "b" / "error.json", ERROR)
    write_sealed(tmp_path / "a" / "results.json", {})
    late = SharedWork(tmp_path, JOBS, force=True, baseline=Baseline.read(tmp_path / "baseline.json", JOBS[::-1]))
    ran = []
    late.run(lambda job: not ran.append(job.name), wait=False, idle=lambda number: None)
    assert ran == ["c"], "a is done by now, b failed in this command, c was done before and is forced"
    assert [job.name for job in late.tally.failed] == ["b"]


def test_other_jobs_or_a_missing_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    with pytest.raises(InputError, match="Repeat that command"):
        Baseline.read(path, JOBS)
    Baseline.now(tmp_path, JOBS, force=False).write(path)
    with pytest.raises(InputError, match="have changed since"):
        Baseline.read(path, JOBS[:2])
    path.write_text("{}")
    with pytest.raises(InputError, match="Repeat that command"):
        Baseline.read(path, JOBS)
