"""Entries of the cache are complete or absent, whatever other processes do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clsnorm.cache import Cache, cache_key


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
