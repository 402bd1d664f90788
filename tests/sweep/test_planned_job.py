"""The list of a sweep's jobs is a cache: written once, read back, and skipped if it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from clsnorm import files
from clsnorm.command.sweep import PLANS, RECORDS
from clsnorm.errors import InputError
from clsnorm.sweep.planned_job import PlannedJob, read_plan, require_same_sweep, write_plan

JOBS = [PlannedJob(f"job-{number}", (f"seed={number}",), {"rows": number}) for number in range(3)]


def test_lists_are_joined(tmp_path: Path) -> None:
    write_plan(tmp_path, JOBS[:2])
    write_plan(tmp_path, JOBS[1::-1])  # the same jobs
    assert len(list((tmp_path / PLANS).iterdir())) == 1
    write_plan(tmp_path, JOBS[1:])
    found = read_plan(tmp_path)
    assert found == JOBS
    assert [job.settings for job in found] == [job.settings for job in JOBS]


def named(name: str, *words: str, **settings: object) -> PlannedJob:
    return PlannedJob(name, words, settings)


def test_a_sweep_can_be_extended(tmp_path: Path) -> None:
    write_plan(tmp_path, [named("a", "lr=1", "seed=0", epochs=3), named("b", "lr=2", "seed=0", epochs=3)])
    for jobs in (
        [named("c", "lr=1", "seed=1", epochs=3)],
        [named("c", "lr=3", "seed=0", epochs=3), named("d", "lr=4", "seed=0", epochs=3)],
        [named("c", "lr=1", "seed=0", "data=b", epochs=3)],
        [named("a", "lr=1", "seed=0", epochs=3), named("c", "lr=1", "seed=0", "trainer.max_epochs=5", epochs=5)],
        [],
    ):
        require_same_sweep(tmp_path, jobs)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (named("c", "lr=1", "seed=0", "trainer.max_steps=5", epochs=3), "no trainer.max_steps and these trainer.max_s"),
        (named("c", "lr=1", "seed=0", epochs=5), "its jobs have epochs=3 and these epochs=5. Choose another folder"),
    ],
)
def test_another_sweep_does_not_join(tmp_path: Path, job: PlannedJob, message: str) -> None:
    write_plan(tmp_path, [named("a", "lr=1", "seed=0", epochs=3), named("b", "lr=2", "seed=0", epochs=3)])
    with pytest.raises(InputError) as caught:
        require_same_sweep(tmp_path, [job])
    assert message in str(caught.value)


def test_an_unfinished_list_lies_among_the_records_of_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts: list[Path] = []

    def put(draft: Path, path: Path) -> None:
        drafts.append(draft.parent)

    monkeypatch.setattr(files, "put_in_place", put)
    monkeypatch.setenv(RECORDS, str(tmp_path / ".jobs-here-1-2"))  # which goes when the command ends, or later
    write_plan(tmp_path, JOBS)
    assert drafts == [tmp_path / ".jobs-here-1-2"]


def test_there_may_be_no_list(tmp_path: Path) -> None:
    assert read_plan(tmp_path / "none") == []


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"jobs": 3}', '{"jobs": [{"name": "../x", "words": [], "settings": {}}]}']
)
def test_a_damaged_list_is_skipped(tmp_path: Path, content: str) -> None:
    write_plan(tmp_path, JOBS)
    (tmp_path / PLANS / "other.json").write_text(content)
    assert read_plan(tmp_path) == JOBS
