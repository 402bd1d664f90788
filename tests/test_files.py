"""Patterns, digests, atomic writing, and folders that are removed or stay."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from clsnorm import files


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
