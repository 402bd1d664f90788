from __future__ import annotations

from pathlib import Path

import pytest
from sweep_folders import config

from clsnorm.errors import DamagedFileError
from clsnorm.run_folder.config_blocks import flat, parsed, read_blocks
from clsnorm.run_folder.stored_config import read_config, write_config


def test_the_blocks_are_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    write_config(path, config(optimizer__lr=1e-5, data__max_length=None) | {"text": "a: b\n  c", "labels": ["x", "y"]})
    assert {key: parsed(block) for key, block in read_blocks(path).items()} == read_config(path)


def test_equal_blocks_are_one_object(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        write_config(tmp_path / name, config(seed=seed))
    first, second = read_blocks(tmp_path / "a"), read_blocks(tmp_path / "b")
    assert first["optimizer"] is second["optimizer"]
    assert first["seeds"] != second["seeds"]


def test_leaves_have_dotted_names() -> None:
    assert flat("a:\n  b:\n    c: 1.0e-05\n  d: [1, 2]\n  e: {}\n") == {"a.b.c": 1e-5, "a.d": [1, 2], "a.e": {}}


def test_an_alias_or_a_cut_block_is_refused() -> None:
    for block in ("a: {b: &x [1], c: *x}\n", "a: {b: *x}\n", "a:\n  b: [1\n"):
        with pytest.raises(ValueError, match=r"alias|expected|anchor|parsing"):
            flat(block)


def test_what_is_no_configuration_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(DamagedFileError):
        read_blocks(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("- 1\n")
    with pytest.raises(DamagedFileError, match="no mapping"):
        read_blocks(tmp_path / "config.yaml")
