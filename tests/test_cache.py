"""Entries of the cache are complete or absent, whatever other processes do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clsnorm.cache import RECORD, Cache, cache_key
from clsnorm.errors import InputError
from clsnorm.tensor_files import save_array


def test_an_entry_is_found_by_its_key_and_only_if_undamaged(tmp_path: Path) -> None:
    cache, key = Cache(tmp_path / "cache"), cache_key({"format": 1, "rows": 3})
    assert cache.get(key) is None
    with cache.draft(key) as (folder, record):
        (folder / "a.npy").write_bytes(b"numbers")
        record["sum"] = 6
    found = cache.get(key)
    assert found is not None
    folder, record = found
    assert (folder / "a.npy").read_bytes() == b"numbers"
    assert record == {"sum": 6}
    assert cache.get(cache_key({"format": 2, "rows": 3})) is None
    (folder / "a.npy").write_bytes(b"numberz")
    assert cache.get(key) is None
    with cache.draft(key) as (folder, record):  # a damaged entry is replaced
        record["sum"] = 7
    assert (cache.get(key) or ({}, {}))[1] == {"sum": 7}


def test_an_undamaged_entry_of_another_process_is_not_replaced(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    with cache.draft("k" * 64) as (mine, record):
        (mine / "a.npy").write_bytes(b"mine")
        with cache.draft("k" * 64) as (other, _):
            (other / "a.npy").write_bytes(b"other")
        record["late"] = True
    found = cache.get("k" * 64)
    assert found is not None
    folder, record = found
    assert (folder / "a.npy").read_bytes() == b"other"
    assert record == {}
    assert list(cache.folder.iterdir()) == [folder]


def test_a_draft_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    cache = Cache(tmp_path / "cache" / "rows")

    def interrupted() -> None:
        with cache.draft("k") as (folder, _):
            (folder / "a.npy").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cache.get("k") is None
    assert list(tmp_path.iterdir()) == [tmp_path / "other"]


def test_drafts_of_processes_that_were_killed_are_removed(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from clsnorm.cache import Cache\n"
        "with Cache(Path(sys.argv[1])).draft('k'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    (abandoned,) = tmp_path.iterdir()
    cache = Cache(tmp_path)
    with cache.draft("a"), cache.draft("b"):  # the draft of a living process stays
        assert len(list(tmp_path.iterdir())) == 2
        assert not abandoned.exists()


def fill(cache: Cache, number: int) -> None:
    with cache.draft("k") as (folder, record):
        save_array(folder / "a.npy", np.arange(number))
        record["number"] = number


def test_each_changed_byte_of_a_record_is_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    fill(cache, 3)
    path = tmp_path / "k" / RECORD
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert cache.get("k") is None, content[place - 10 : place + 10]
    path.write_bytes(content)
    assert cache.get("k") is not None


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "empty folder", "other folder"])
def test_whatever_is_in_the_place_of_an_entry_is_replaced(tmp_path: Path, kind: str) -> None:
    cache, entry, other = Cache(tmp_path / "cache"), tmp_path / "cache" / "k", tmp_path / "other"
    entry.parent.mkdir()
    other.mkdir()
    (other / "mine").touch()
    if kind == "file":
        entry.write_text("x")
    elif "link" in kind:
        entry.symlink_to(other if kind == "link" else tmp_path / "missing")
    else:
        entry.mkdir()
        (entry / "x").touch() if kind == "other folder" else None
    assert cache.get("k") is None
    fill(cache, 3)
    assert (cache.get("k") or (0, 0))[1] == {"number": 3}
    assert (other / "mine").exists()


def test_an_entry_that_does_not_fit_is_refused(tmp_path: Path, small_files: None) -> None:
    with pytest.raises(InputError, match=r"Cannot write to the cache .*: File too large\. Set paths\.cache"):
        fill(Cache(tmp_path / "cache"), 100_000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_errors_of_the_disk_name_the_file_that_was_read(tmp_path: Path, number: int) -> None:
    def fail(place: Path | None) -> None:
        with Cache(tmp_path / "cache").draft("k"):
            raise OSError(number, os.strerror(number), *([] if place is None else [str(place)]))

    for place in (None, tmp_path / "cache" / "draft" / "x"):
        with pytest.raises(InputError, match="Cannot write to the cache"):
            fail(place)
    with pytest.raises(InputError, match=r"Cannot read .*train\.csv"):
        fail(tmp_path / "train.csv")
