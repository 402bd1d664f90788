"""Folders that are removed again, and those that stay."""

from pathlib import Path

import pytest

from clsnorm import files


@pytest.fixture(autouse=True)
def _nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_standing", set())


def test_removes_what_was_made_and_leaves_what_stood(tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "empty"
    mine.mkdir(parents=True)
    made = mine / "runs" / "one"
    files.note_standing(made)
    made.mkdir(parents=True)
    (made / "lock").touch()
    (made / "parts").mkdir()
    files.remove(made)
    assert mine.is_dir()
    assert not any(mine.iterdir())


def test_a_folder_that_stood_is_emptied_and_stays(tmp_path: Path) -> None:
    files.note_standing(tmp_path / "run")
    files.note_standing(tmp_path)  # which is above the other's place: both stay
    (tmp_path / "run").mkdir()
    files.note_standing(tmp_path / "run")
    (tmp_path / "run" / "lock").touch()
    files.remove(tmp_path / "run")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]
    assert not any((tmp_path / "run").iterdir())


def test_a_link_is_deleted_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows").touch()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    files.delete(tmp_path / "link")
    assert (tmp_path / "data" / "rows").exists()
    assert not (tmp_path / "link").is_symlink()
