"""Files of a finished run that hold no digest themselves are compared with those in its results."""

from __future__ import annotations

from pathlib import Path

import pytest

from clsnorm.files import digest
from clsnorm.run_folder import RunFolder, file_digests


def test_each_changed_or_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("metrics.csv", "events.csv", "config.yaml")]
    for path in paths:
        path.write_text("step,a\n1,2\n")
    results = {file_digests.KEY: {path.name: digest(path) for path in paths}}
    assert list(file_digests.changes(tmp_path, results)) == []
    paths[0].write_text("step,a\n1,3\n")
    paths[1].unlink()
    paths[2].write_text("step,a\n")
    table, events, config = file_digests.changes(tmp_path, results)
    assert f"{paths[0]} is not what the run wrote (its sha256 differs). The numbers in results.json are right" in table
    assert f"{paths[1]} is missing. " in events
    assert "If you edited it, ignore this" in config


def test_a_table_damaged_before_the_end_is_named(tmp_path: Path) -> None:
    (found,) = file_digests.changes(tmp_path, {file_digests.KEY: {"metrics.csv": None}})
    assert "metrics.csv was damaged before the run ended: rows were lost or changed. " in found


@pytest.mark.parametrize("stored", [None, [], "x", {"../secret": "0"}, {"/etc/passwd": "0"}, {"a/b": "0"}, {"..": "0"}])
def test_no_digests_and_names_outside_the_folder_are_passed_over(tmp_path: Path, stored: object) -> None:
    assert RunFolder(tmp_path).changes({} if stored is None else {file_digests.KEY: stored}) == []
