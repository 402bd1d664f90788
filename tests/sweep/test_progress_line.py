"""The line of a sweep says what a reader can rely on."""

from __future__ import annotations

import io
from pathlib import Path

from clsnorm.sweep.job_state import DONE, FAILED, JobState
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.progress_line import ProgressLine
from clsnorm.sweep.shared_work import Tally

SETTINGS = {"rows": 100, "batch": 10, "length": 8, "epochs": 1, "max_steps": -1}
JOBS = [PlannedJob(f"job-{number}", (), SETTINGS) for number in range(4)]


def test_one_line_for_each_job_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    tally = Tally(left=JOBS[1:], before=JOBS[:1])
    line = ProgressLine(tally, "normalizer", stream)
    line.start(JOBS[1])
    line.end(JOBS[1], "done")
    tally.left.remove(JOBS[1])
    tally.here.append(JOBS[1])
    line.start(JOBS[2])
    line.end(JOBS[2], "failed")
    tally.left.remove(JOBS[2])
    tally.failed.append(JOBS[2])
    line.wait(1)
    line.wait(1)
    line.close()
    name, first, second, third = stream.getvalue().splitlines()
    assert name == "normalizer: 4 jobs, 1 done before"
    assert first.startswith("job-1: done in 0 s. 2 of 4 done")
    assert second.startswith("job-2: failed in 0 s. 2 of 4 done, 1 failed")
    assert third.startswith("2 of 4 done, 1 failed")
    assert stream.getvalue().count("normalizer") == 1


def test_jobs_of_other_processes_are_named_and_their_failures_explained() -> None:
    stream = io.StringIO()
    tally = Tally(left=JOBS[2:], elsewhere=JOBS[:1], failed=JOBS[1:2])
    line = ProgressLine(tally, "normalizer", stream)
    line.watch(["job-2", "job-3"])
    line.note(JOBS[0], JobState(Path("job-0"), DONE, results={"seconds": 90.0}))
    line.note(JOBS[1], JobState(Path("job-1"), FAILED, "ValueError: too small"))
    _, first, second = stream.getvalue().splitlines()
    assert first.startswith("job-0: done in 2 min. ")
    assert "2 running: job-2 job-3" in first
    assert "1 min left" not in first, "both are running already"
    assert second.startswith("job-1: failed: ValueError: too small. ")


def test_what_is_left_is_divided_among_those_that_run() -> None:
    line = ProgressLine(Tally(left=JOBS[1:], elsewhere=JOBS[:1]), "normalizer", io.StringIO())
    line.note(JOBS[0], JobState(Path("job-0"), DONE, results={"seconds": 240.0}))
    line.watch([JOBS[1].name, JOBS[2].name])
    assert line.text().endswith("about 2 min left")


def test_a_closed_stream_ends_nothing() -> None:
    stream = io.StringIO()
    line = ProgressLine(Tally(left=JOBS), "normalizer", stream)
    stream.close()
    line.start(JOBS[0])
    line.end(JOBS[0], "done")
    line.close()
