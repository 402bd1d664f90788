"""Claiming a folder that a fault has left behind: drafts, damaged results, wrong kinds of files, a read-only disk."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from clsnorm.errors import DamagedFileError, DiskError, InputError
from clsnorm.files import DRAFT, write_sealed, write_text
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.claim import Claim
from clsnorm.tensor_files import save_tensors

CONFIG = {"config_hash": "a", "force": False}


def claim(folder: RunFolder, **changes: object) -> object:
    """The results that a claim yields."""
    with Claim(folder).hold(CONFIG | changes) as results:
        return results


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "one")
    claim(folder)
    return folder


def test_drafts_of_killed_writers_are_removed_by_the_holder_of_the_lock(run: RunFolder) -> None:
    run.statistics.mkdir()
    drafts = [run.path / ".last.ckpt", run.path / ".selected.ckpt", run.statistics / f"{DRAFT}0a.npz"]
    for draft in drafts:
        draft.touch()
    with Claim(run).hold(CONFIG):
        assert not any(draft.exists() for draft in drafts)
        drafts[0].touch()
        with pytest.raises(InputError, match="is running in it"):
            claim(run)
        assert drafts[0].exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"status": 3}', '{"metrics": []}', "\0\0\0"])
def test_damaged_results_are_written_again_if_the_run_can_be_resumed(run: RunFolder, content: str) -> None:
    run.results.write_text(content)
    with pytest.raises(DamagedFileError, match=r"results\.json is damaged.*Delete it, and the same command trains"):
        claim(run)
    assert run.results.exists()
    save_tensors(run.last, {})
    assert claim(run) is None
    assert not run.results.exists()


def test_force_runs_again_over_damaged_files(run: RunFolder) -> None:
    run.results.write_text("{")
    assert claim(run, force=True) is None
    assert not run.results.exists()
    run.config.write_text("")
    assert claim(run, force=True) is None


@pytest.mark.parametrize(
    "name", ["statistics", "results.json", "config.yaml", "metrics.csv", "last.ckpt", "events.csv"]
)
def test_a_file_of_the_wrong_kind_is_refused_before_the_work(run: RunFolder, name: str) -> None:
    path = run.path / name
    path.unlink(missing_ok=True)
    path.touch() if name == "statistics" else path.mkdir()
    with pytest.raises(DamagedFileError, match=rf"{name} is damaged: it is a .* instead of a .*\. Remove it"):
        claim(run)
    assert path.exists()


def test_a_finished_run_on_a_read_only_disk_is_shown(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sealed(run.results, {"status": "completed"})
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    before = sorted(path.stat().st_mtime_ns for path in run.path.iterdir())
    assert claim(run) == {"status": "completed"}
    assert sorted(path.stat().st_mtime_ns for path in run.path.iterdir()) == before
    with pytest.raises(InputError, match="configuration b, but it holds a"):
        claim(run, config_hash="b")
    run.results.write_text("{")
    with pytest.raises(DamagedFileError, match=r"results\.json"):
        claim(run)


def test_a_folder_deleted_while_held_is_not_created_again(run: RunFolder) -> None:
    def work() -> None:
        with Claim(run).hold(CONFIG):
            shutil.rmtree(run.path)
            write_text(run.metrics, "step\n")

    with pytest.raises(DiskError, match=r"metrics\.csv: No such file or directory\. Leave a run's folder in place"):
        work()
    assert not run.path.exists()
    assert claim(run) is None


def test_a_run_killed_while_it_wrote_its_first_file_can_begin_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for draft in (tmp_path / f"{DRAFT}0a.yaml", *run.checkpoint_drafts()):
        draft.touch()
    assert run.content() == []
    assert claim(run) is None
    assert [path.name for path in run.content()] == ["config.yaml"]


def test_a_run_killed_after_it_wrote_its_results_keeps_no_resume_point(run: RunFolder) -> None:
    write_sealed(run.results, {"status": "completed"})
    save_tensors(run.last, {})
    run.error.write_text("{}")  # written when a worker is killed after the results
    assert claim(run) == {"status": "completed"}
    assert not run.last.exists()
    assert not run.error.exists()


@pytest.mark.parametrize("function", ["rename", "unlink"])
def test_a_disk_that_fails_while_a_run_is_replaced_is_one_line(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def fail(path: Path, *arguments: object, **named: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write_sealed(run.results, {"status": "completed"})
    with monkeypatch.context() as patch:
        patch.setattr(Path, function, fail)
        with pytest.raises(DiskError, match="Input/output error"):
            claim(run, force=True)
    assert claim(run, force=True) is None
