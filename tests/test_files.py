"""Patterns, digests, atomic writing, full disks, and folders that are removed or stay."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clsnorm import files
from clsnorm.errors import DiskError
from clsnorm.files import drafting_in, is_alive, replacing


@pytest.fixture(autouse=True)
def _nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_standing", set())


def test_created_folders_are_removed_and_older_ones_stay(tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "empty"
    mine.mkdir(parents=True)
    created = mine / "runs" / "one"
    files.note_standing(created)
    created.mkdir(parents=True)
    (created / "lock").touch()
    (created / "parts").mkdir()
    files.remove(created)
    assert mine.is_dir()
    assert not any(mine.iterdir())


def test_a_folder_that_existed_is_emptied_and_stays(tmp_path: Path) -> None:
    files.note_standing(tmp_path / "run")
    files.note_standing(tmp_path)  # which contains the other one: both stay
    (tmp_path / "run").mkdir()
    files.note_standing(tmp_path / "run")
    (tmp_path / "run" / "lock").touch()
    files.remove(tmp_path / "run")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]
    assert not any((tmp_path / "run").iterdir())


def test_a_link_is_deleted_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows").touch()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    files.delete(tmp_path / "link")
    assert (tmp_path / "data" / "rows").exists()
    assert not (tmp_path / "link").is_symlink()


def test_a_pattern_matches_visible_files_in_order(tmp_path: Path) -> None:
    for name in ("b/2.tsv", "a/1.tsv", "a/.hidden.tsv", ".h/3.tsv", "a/1.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files.matching(tmp_path / "*" / "*.tsv") == [tmp_path / "a/1.tsv", tmp_path / "b/2.tsv"]
    assert files.matching(tmp_path / "a" / "1.tsv") == [tmp_path / "a/1.tsv"]
    assert files.matching(tmp_path / "*.json") == [tmp_path / "*.json"]


def test_brackets_in_a_folder_are_ordinary_characters(tmp_path: Path) -> None:
    folder = tmp_path / "runs[1]"
    folder.mkdir()
    (folder / "x.tsv").touch()
    assert files.matching(folder / "*.tsv") == [folder / "x.tsv"]


def test_a_digest_follows_the_content(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for number, text in enumerate(("one", "two")):
        path.write_text(text)
        os.utime(path, (number, number))
        assert files.digest(path) == hashlib.sha256(text.encode()).hexdigest()


def test_a_failed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.json"
    files.write_json(path, {"a": 1})

    def fail() -> None:
        with files.replacing(path) as draft:
            draft.write_text("half")
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        fail()
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(path.parent.iterdir()) == [path]


def failing(number: int) -> Callable[..., Any]:
    """A function of `os` on a disk with that error."""

    def fail(*arguments: Any, **named: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG])
@pytest.mark.parametrize("function", ["fsync", "write"])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, function: str
) -> None:
    path = tmp_path / "x.json"
    files.write_text(path, "old")
    if function == "write":
        monkeypatch.setattr(Path, "write_text", failing(number))
    else:
        monkeypatch.setattr(os, function, failing(number))
    with pytest.raises(DiskError) as caught:
        files.write_text(path, "new")
    assert str(caught.value).startswith(f"Cannot write {path}: {os.strerror(number)}. ")
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_are_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append("folder" if place.is_dir() else place.name + ("" if (tmp_path / "x").exists() else " only"))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    files.write_text(tmp_path / "x", "text")
    draft, folder = synced
    assert draft.startswith(files.DRAFT)
    assert draft.endswith(" only")
    assert folder == "folder"


def test_a_row_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(DiskError, match=r"x\.csv: No such file"):  # a deleted file is not created again
        files.append(path, "1\n")
    path.write_text("step\n")
    assert files.append(path, "1\n") == 5
    assert path.read_text() == "step\n1\n"


def test_a_row_that_does_not_fit_is_taken_back(tmp_path: Path, small_files: None) -> None:
    path = tmp_path / "x.csv"
    path.write_text("y" * 99_990 + "\n")
    with pytest.raises(DiskError, match=r"x\.csv: File too large"):
        files.append(path, "1" * 100 + "\n")
    assert path.stat().st_size == 99_991


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_folder_that_is_gone_is_not_created_again(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    with files.held(folder):
        files.write_text(folder / "statistics" / "x", "text")
        if how == "moved":
            folder.rename(tmp_path / "elsewhere")
        else:
            shutil.rmtree(folder)
        if how == "replaced":
            folder.mkdir()
        for name in ("x", "statistics/x", "a/b/c"):
            with pytest.raises(DiskError, match="Leave a run's folder in place"):
                files.write_text(folder / name, "text")
        assert folder.exists() == (how == "replaced")
    files.write_text(folder / "x", "text")  # nobody works in it now


def test_drafts_of_killed_writers_are_removed(tmp_path: Path) -> None:
    drafts = [f"{files.DRAFT}abc.npz", f".{'0a' * 16}.npz", f".{'0a' * 16}"]
    others = [".hidden", ".lock", "x.npz", f"{'0a' * 16}.npz", ".draft"]
    for folder in (tmp_path, tmp_path / "statistics", tmp_path / ".replaced"):
        folder.mkdir(exist_ok=True)
        for name in (*drafts, *others):
            (folder / name).touch()
    files.remove_drafts(tmp_path)
    for folder in (tmp_path, tmp_path / "statistics"):
        assert sorted(path.name for path in folder.iterdir() if path.is_file()) == sorted(others)
    assert len(list((tmp_path / ".replaced").iterdir())) == len(drafts) + len(others)


def test_drafts_of_files_in_a_shared_folder_are_elsewhere(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    with drafting_in(own), replacing(tmp_path / "page.html") as draft:
        assert draft.parent == own
        draft.write_text("new")
    assert (tmp_path / "page.html").read_text() == "new"
    with replacing(tmp_path / "page.html") as draft:
        assert draft.parent == tmp_path
        draft.write_text("newer")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["own", "page.html"]


def test_a_full_disk_is_found_behind_the_errors_of_libraries(tmp_path: Path) -> None:
    def chained(cause: Exception) -> Exception:
        try:
            try:
                raise cause
            except Exception:
                raise RuntimeError("unexpected pos 7424 vs 7312")  # noqa: B904 -- as torch.save does
        except RuntimeError as error:
            return error

    found = files.disk_error(chained(OSError(errno.ENOSPC, "No space left on device")), tmp_path)
    assert str(found).startswith(f"Cannot write {tmp_path}: No space left on device")
    inside = FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "x"))
    assert "x: No such file" in str(files.disk_error(inside, tmp_path))
    for other in (ValueError("x"), FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere"), OSError("no number")):
        assert files.disk_error(chained(other), tmp_path) is None


def test_files_reach_the_disk_while_the_run_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync", synced.append)
    files.sync_meanwhile([tmp_path / "x.csv", tmp_path / "x.ckpt"])
    for thread in threading.enumerate():
        if thread.name == "sync_meanwhile":
            thread.join()
    assert synced == [tmp_path / "x.csv", tmp_path / "x.ckpt"]
    (tmp_path / "draft").write_text("text")
    files.put_in_place(tmp_path / "draft", tmp_path / "x", synced=False)
    assert len(synced) == 2


def test_a_process_that_has_ended_is_not_alive() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    assert is_alive(os.getpid())
    assert is_alive(ended.pid)  # until it is waited for
    ended.wait()
    assert not is_alive(ended.pid)
