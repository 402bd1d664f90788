"""Searches: an exact budget, whoever asks, fails or is killed; and what is chosen at the end."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from clsnorm.command.sweep import SEARCHES
from clsnorm.files import write_sealed
from clsnorm.sweep import shared_work
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.search import Budget, TrialSearch
from clsnorm.sweep.search_record import read_searches
from clsnorm.sweep.search_space import SearchSpace
from clsnorm.sweep.shared_work import SharedWork, Tally
from clsnorm.sweep.trial_storage import KINDS, TrialStorage

WORDS = ["normalizer=identity,layernorm", "optimizer.lr=tag(log, interval(1e-5, 1e-3))"]
ERROR = {"kind": "ZeroDivisionError", "message": "", "traceback": ""}
Run = Callable[[Path, PlannedJob], bool]


@pytest.fixture(autouse=True)
def short_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setattr(shared_work, "POLL", 0.02)


def plan(jobs: Sequence[Sequence[str]]) -> list[PlannedJob]:
    return [PlannedJob(hashlib.sha256(" ".join(words).encode()).hexdigest()[:12], tuple(words)) for words in jobs]


def search(
    folder: Path, words: Sequence[str] = WORDS, *, kind: str = "journal", mode: str = "max", **budget: object
) -> TrialSearch:
    space = SearchSpace(OverridesParser.create().parse_overrides(list(words)))
    storage = TrialStorage(folder / SEARCHES, kind=kind, sampler="tpe", seed=0)
    return TrialSearch(folder, space, Budget(**{"trials": 5, "early": 3} | budget), storage, plan, lambda words: mode)  # type: ignore[arg-type]


def rate(job: PlannedJob) -> float:
    return float(next(word for word in job.words if word.startswith("optimizer.lr=")).partition("=")[2])


def succeed(folder: Path, job: PlannedJob, score: float | None = None, **more: object) -> bool:
    best = 1e-4 if "normalizer=identity" in job.words else 3e-5
    score = -abs(math.log(rate(job) / best)) if score is None else score
    results = {"metrics": {"select/accuracy": score}, "monitor": "accuracy", "status": "completed"} | more
    write_sealed(folder / job.name / "results.json", results)
    return True


def fail(folder: Path, job: PlannedJob) -> bool:
    write_sealed(folder / job.name / "error.json", ERROR)
    return False


def work(folder: Path, found: TrialSearch, run: Run = succeed) -> tuple[list[PlannedJob], Tally]:
    """Returns the jobs in the order in which one worker runs them."""
    ran: list[PlannedJob] = []

    def note(job: PlannedJob) -> bool:
        ran.append(job)
        return run(folder, job)

    found.begin()
    shared = SharedWork(folder, [])
    names = lambda: {job.name for job in shared.tally.failed}  # noqa: E731
    shared.run(note, wait=True, idle=lambda number: None, more=lambda: found.more(names()))
    return ran, shared.tally


def trials(folder: Path) -> list[dict[str, object]]:
    return [trial for record in read_searches(folder) for trial in record["trials"]]


def test_each_combination_has_its_budget_and_the_best_is_chosen(tmp_path: Path) -> None:
    ran, tally = work(tmp_path, search(tmp_path, [*WORDS, "seed=0,1"], final=[["seed=7"], ["seed=8"]]))
    assert len(ran) == len(set(ran)) == len(tally.here) == 2 * 5 * 2 + 2 * 2
    for record, arm in zip(read_searches(tmp_path), ("identity", "layernorm"), strict=True):
        assert record["label"] == f"normalizer={arm}"
        assert (record["budget"], len(record["trials"]), record["seeds"]) == (5, 5, ["seed=0", "seed=1"])
        assert {trial["state"] for trial in record["trials"]} == {"complete"}
        best = max(record["trials"], key=lambda trial: trial["score"])
        assert record["chosen"] == best["values"]
        final = [job for job in ran if job.name in record["final"]]
        assert [rate(job) for job in final] == [best["values"]["optimizer.lr"]] * 2
        assert all({"seed=7", "seed=8"} & set(job.words) for job in final)
    identity, layernorm = ([trial["values"] for trial in one["trials"]] for one in read_searches(tmp_path))
    assert identity[:3] == layernorm[:3]
    assert identity[3:] != layernorm[3:]


def test_a_minimized_score_and_equal_ones(tmp_path: Path) -> None:
    def run(folder: Path, job: PlannedJob) -> bool:
        return succeed(folder, job, 1.0 if rate(job) > 5e-5 else 2.0)

    work(tmp_path, search(tmp_path, WORDS[1:], mode="min"), run)
    (record,) = read_searches(tmp_path)
    assert record["label"] == "all"
    good = [trial["values"]["optimizer.lr"] for trial in record["trials"] if trial["score"] == 1.0]
    assert record["chosen"] == {"optimizer.lr": min(good)}


def test_the_same_command_continues_numbers_and_budget(tmp_path: Path) -> None:
    first = search(tmp_path)
    first.begin()
    (job,) = first.more(set())  # the worker dies here, before its job has begun
    ran, _ = work(tmp_path, search(tmp_path))
    assert job in ran
    assert len(ran) == len(set(ran)) == 10
    again, tally = work(tmp_path, search(tmp_path))
    assert again == []
    assert tally == Tally()
    ran, _ = work(tmp_path, search(tmp_path, trials=7))
    assert len(ran) == 4
    assert len(trials(tmp_path)) == 14


def test_a_worker_runs_the_open_trials_of_others_and_asks_only_then(tmp_path: Path) -> None:
    one, other = search(tmp_path), search(tmp_path)
    one.begin()
    other.begin()
    mine = one.more(set())
    assert other.more(set()) == mine
    more = other.more(set())
    assert set(more).isdisjoint(mine)
    succeed(tmp_path, *mine)
    assert one.more(set()) == more
    assert [trial["state"] for trial in trials(tmp_path)].count("complete") == 1


def test_a_suggested_duplicate_takes_its_finished_result(tmp_path: Path) -> None:
    words = ["data.batch_size=int(interval(4, 6))"]

    def run(folder: Path, job: PlannedJob) -> bool:
        return succeed(folder, job, float(job.words[0][-1]))

    ran, _ = work(tmp_path, search(tmp_path, words, trials=9, early=2), run)
    assert len(ran) == len({job.name for job in ran}) <= 3
    assert [trial["state"] for trial in trials(tmp_path)] == ["complete"] * 9


def test_a_failed_run_is_a_failed_trial_that_the_next_command_repeats(tmp_path: Path) -> None:
    def run(folder: Path, job: PlannedJob) -> bool:
        return fail(folder, job) if rate(job) == 1e-4 and "seed=1" in job.words else succeed(folder, job)

    words = [WORDS[1], "seed=0,1"]
    ran, tally = work(tmp_path, search(tmp_path, words), run)
    assert len(ran) == 10
    assert len(tally.failed) == 1
    states = [trial["state"] for trial in trials(tmp_path)]
    assert Counter(states) == {"complete": 4, "failed": 1}
    ran, _ = work(tmp_path, search(tmp_path, words))
    assert [job.words for job in ran] == [("optimizer.lr=0.0001", "seed=1")]
    assert [trial["state"] for trial in trials(tmp_path)] == ["complete"] * 5


def test_a_refused_run_that_leaves_no_file_fails_its_trial(tmp_path: Path) -> None:
    ran, tally = work(tmp_path, search(tmp_path, WORDS[1:]), lambda folder, job: False)
    assert len(ran) == len(tally.failed) == 5
    (record,) = read_searches(tmp_path)
    assert record["chosen"] is None
    assert [trial["state"] for trial in record["trials"]] == ["failed"] * 5


def test_an_aborted_run_is_pruned_and_one_without_a_score_the_worst(tmp_path: Path) -> None:
    def run(folder: Path, job: PlannedJob) -> bool:
        if rate(job) > 5e-4:
            return succeed(folder, job, status="aborted")
        lost = {"metrics": {"select/accuracy": None}, "status": "diverged"} if rate(job) < 5e-5 else {}
        return succeed(folder, job, **lost)

    work(tmp_path, search(tmp_path, WORDS[1:], trials=8, early=8), run)
    (record,) = read_searches(tmp_path)
    for trial in record["trials"]:
        lr = trial["values"]["optimizer.lr"]
        assert trial["state"] == ("pruned" if lr > 5e-4 else "complete")
        assert (trial["score"] is None) == (not 5e-5 <= lr <= 5e-4)
    assert 5e-5 <= record["chosen"]["optimizer.lr"] <= 5e-4


def test_other_values_of_the_space_or_the_seeds_are_another_study(tmp_path: Path) -> None:
    studies = {
        arm.study
        for words in (WORDS, [*WORDS, "seed=0,1"], [WORDS[0], "optimizer.lr=tag(log, interval(1e-5, 2e-3))"])
        for arm in search(tmp_path, words).arms
    }
    assert len(studies) == 6


WORKER = """
import sys, time, random
from pathlib import Path
sys.path[:0] = [sys.argv[4]]
import test_search as tests
from clsnorm.files import append
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.claim import Claim
from clsnorm.sweep import shared_work

shared_work.POLL = 0.05
folder, seed, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
draw = random.Random(seed)

def run(folder, job):
    place = RunFolder(folder / job.name)
    place.path.mkdir(exist_ok=True)
    with Claim(place).hold({"config_hash": job.name, "force": False}, patient=False) as done:
        assert done is None
        log = place.path / "log"
        log.touch()
        append(log, "begin\\n")
        time.sleep(draw.uniform(0.02, 0.2))
        append(log, "end\\n")
        return tests.succeed(folder, job)

found = tests.search(folder, kind=kind, trials=15)
print("ready", flush=True)
tests.work(folder, found, run)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_three_workers_killed_twice_run_exactly_thirty_trials_none_twice(tmp_path: Path, kind: str) -> None:
    def start(seed: int) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", WORKER, str(tmp_path), str(seed), kind, str(Path(__file__).parent)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def ended() -> int:
        return len(list(tmp_path.glob("*/results.json")))

    for stop in (6, 17):
        workers = [start(stop + number) for number in range(3)]
        deadline = time.monotonic() + 120
        while ended() < stop and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ended() < 30, "too late to kill"
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)
        for worker in workers:
            worker.communicate()
    workers = [start(number) for number in range(3)]
    for worker in workers:
        worker.communicate(timeout=240)
        assert worker.returncode == 0
    assert len(trials(tmp_path)) == 30
    assert [trial["state"] for trial in trials(tmp_path)] == ["complete"] * 30
    storage = TrialStorage(tmp_path / SEARCHES, kind=kind, sampler="tpe", seed=0)
    with storage.alone():
        for arm in search(tmp_path, kind=kind).arms:
            storage.open(arm.study, mode="max")
            stored = storage.trials(arm.study)
            assert [(trial.number, trial.slot) for trial in stored] == [(number, number) for number in range(15)]
    runs = [name for trial in trials(tmp_path) for name in trial["runs"]]  # type: ignore[attr-defined]
    assert set(runs) == {path.parent.name for path in tmp_path.glob("*/results.json")}
    for log in tmp_path.glob("*/log"):
        lines = log.read_text().split()
        assert lines.count("end") in (1, 2)  # 2: killed between its end and its results
        assert lines.count("begin") <= 3
    assert {path.name for path in tmp_path.glob(".*")} == {SEARCHES}
