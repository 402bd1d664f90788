"""The line of a sweep says what a reader can rely on."""

from __future__ import annotations

import io

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
    first, second, third = stream.getvalue().splitlines()
    assert first.startswith("job-1: done in 0 s. normalizer: 2 of 4 done")
    assert second.startswith("job-2: failed in 0 s. normalizer: 2 of 4 done, 1 failed")
    assert third.startswith("normalizer: 2 of 4 done, 1 failed")


def test_a_closed_stream_ends_nothing() -> None:
    stream = io.StringIO()
    line = ProgressLine(Tally(left=JOBS), "normalizer", stream)
    stream.close()
    line.start(JOBS[0])
    line.end(JOBS[0], "done")
    line.close()
