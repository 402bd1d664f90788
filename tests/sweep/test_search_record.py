"""Records of searches are read without Optuna."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from clsnorm.command.sweep import SEARCHES
from clsnorm.sweep.search_record import read_searches, write_search


def test_records_are_read_by_their_words_and_damaged_ones_skipped(tmp_path: Path) -> None:
    assert read_searches(tmp_path) == []
    for name in ("b", "a", "c"):
        write_search(tmp_path, name, {"words": [name], "trials": [{"score": 0.1, "values": {"x": 1e-5}}]})
    (tmp_path / SEARCHES / "broken.json").write_text("{")
    assert [record["words"] for record in read_searches(tmp_path)] == [["a"], ["b"], ["c"]]
    assert read_searches(tmp_path)[0]["trials"] == [{"score": 0.1, "values": {"x": 1e-5}}]


def test_an_unchanged_record_is_not_written_again(tmp_path: Path) -> None:
    record = {"words": ["a"], "chosen": None}
    write_search(tmp_path, "a", record)
    (path,) = (tmp_path / SEARCHES).iterdir()
    before = path.stat().st_ino
    write_search(tmp_path, "a", record)
    assert path.stat().st_ino == before
    write_search(tmp_path, "a", record | {"chosen": {"x": 1}})
    assert read_searches(tmp_path) == [record | {"chosen": {"x": 1}}]


def test_no_optuna_is_imported() -> None:
    code = "import sys, clsnorm.sweep.search_record; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
