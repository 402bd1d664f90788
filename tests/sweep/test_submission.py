"""What is stored of workers that were submitted, and the script that starts one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from clsnorm.command.sweep import RECORDS, WORKER
from clsnorm.sweep.baseline import Baseline
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.submission import Submission, script_of, submissions

JOBS = [PlannedJob("a", (), {})]


def prepare(folder: Path) -> Submission:
    return Submission.prepare(folder, Baseline.now(folder, JOBS, force=False), ["true"], threads=2, workers=3)


def test_a_submission_without_an_answer_is_found_by_its_name(tmp_path: Path) -> None:
    first, second = prepare(tmp_path), prepare(tmp_path)
    assert first.job() is None
    first.complete("17")
    found = {known.name: known.job() for known in submissions(tmp_path)}
    assert found == {first.name: "17", second.name: None}
    assert first.name != second.name
    assert Baseline.read(first.folder / "baseline.json", JOBS).failed == {}
    first.remove()
    assert [*submissions(tmp_path)] == [second]
    second.remove()
    assert not list(tmp_path.iterdir())


def test_a_damaged_receipt_is_none(tmp_path: Path) -> None:
    known = prepare(tmp_path)
    (known.folder / "receipt.json").write_text('{"job": 3')
    assert known.job() is None


def test_the_script_runs_the_same_words(tmp_path: Path) -> None:
    script = tmp_path / "worker.sh"
    words = ["printf", "%s|", "a b", "c='$HOME'", "d=[1,2]"]
    script.write_text(script_of(words, tmp_path / "base line.json", 3))
    environment = {"PATH": "/usr/bin:/bin", RECORDS: "x"}
    done = subprocess.run(["bash", str(script)], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "a b|c='$HOME'|d=[1,2]|"
    script.write_text(script_of(["env"], tmp_path / "base line.json", 3))
    done = subprocess.run(["bash", str(script)], env=environment, capture_output=True, text=True, check=True)
    shown = done.stdout.splitlines()
    assert f"{WORKER}={tmp_path / 'base line.json'}" in shown
    assert "OMP_NUM_THREADS=3" in shown
    assert not any(line.startswith(RECORDS) for line in shown)


def test_the_script_ignores_signals_until_python_handles_them(tmp_path: Path) -> None:
    script = tmp_path / "worker.sh"
    script.write_text(script_of(["sh", "-c", "kill -USR1 $$; kill -TERM $$; echo alive"], tmp_path / "b.json", 1))
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "alive\n"
