"""``config.yaml``: read, edited by hand, cut, and repaired where another file proves whose run it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clsnorm.errors import DamagedFileError, InputError
from clsnorm.files import write_sealed
from clsnorm.run_folder import RunFolder
from clsnorm.run_folder.claim import Claim
from clsnorm.run_folder.stored_config import read_config, require_parts, write_config
from clsnorm.tensor_files import save_tensors

CONFIG = {"model": {"path": "x"}, "seed": 3, "config_hash": "abc", "force": False}
DAMAGE: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: path.write_text(path.read_text()[:12]),
    "cut in a word": lambda path: path.write_text("model:\n  path: 'x"),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "a list": lambda path: path.write_text("- 1\n- 2\n"),
    "a mapping of nothing": lambda path: path.write_text("{}"),
    "a number": lambda path: path.write_text("3"),
    "zeros": lambda path: path.write_bytes(b"\0" * 100),
    "an object": lambda path: path.write_text("!!python/object/apply:os.getcwd []"),
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "one")
    with Claim(folder).hold(CONFIG):
        pass
    return folder


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_config(tmp_path / "config.yaml") == {}
    write_config(tmp_path / "config.yaml", CONFIG)
    assert read_config(tmp_path / "config.yaml") == CONFIG


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_named(run: RunFolder, kind: str) -> None:
    DAMAGE[kind](run.config)
    with pytest.raises(DamagedFileError, match=r"config\.yaml is damaged"):
        require_parts(run.read_config(), run.config)


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("proof", ["nothing was trained", "last.ckpt", "results.json"])
def test_a_damaged_file_is_written_again_if_another_proves_the_configuration(
    run: RunFolder, kind: str, proof: str
) -> None:
    DAMAGE[kind](run.config)
    if proof == "last.ckpt":
        save_tensors(run.last, {"callbacks": {"ResumePoint": {"config_hash": "abc"}}})
    elif proof == "results.json":
        write_sealed(run.results, {"config_hash": "abc"})
    with Claim(run).hold(CONFIG):
        pass
    assert read_config(run.config) == CONFIG


@pytest.mark.parametrize("proof", ["none", "another", "damaged"])
def test_otherwise_the_folder_is_refused_untouched(run: RunFolder, proof: str) -> None:
    run.config.write_text("")
    state = {"callbacks": {"ResumePoint": {} if proof == "none" else {"config_hash": "another"}}}
    save_tensors(run.last, state)
    if proof == "damaged":
        run.last.write_bytes(run.last.read_bytes()[:-300])
    before = run.last.read_bytes()
    expected = "holds another" if proof == "another" else "replace the file by the line `config_hash: abc`"
    with pytest.raises(InputError, match=expected), Claim(run).hold(CONFIG):
        pytest.fail("claimed")
    assert run.last.read_bytes() == before
    if proof != "another":  # the advice works
        run.config.write_text("config_hash: abc")
        with Claim(run).hold(CONFIG):
            assert read_config(run.config) == CONFIG


def test_a_missing_file_is_written_again_if_another_proves_the_configuration(run: RunFolder) -> None:
    save_tensors(run.last, {"callbacks": {"ResumePoint": {"config_hash": "abc"}}})
    run.config.unlink()
    with pytest.raises(InputError, match=r"no config\.yaml"), Claim(run).hold({**CONFIG, "config_hash": "other"}):
        pytest.fail("claimed")
    with Claim(run).hold(CONFIG):
        assert read_config(run.config) == CONFIG


def test_an_edit_by_hand_is_no_damage(run: RunFolder) -> None:
    run.config.write_text(run.config.read_text().replace("seed: 3", "seed: 4"))
    assert run.read_config()["seed"] == 4
    write_sealed(run.results, {"config_hash": "abc"})
    with Claim(run).hold(CONFIG):
        assert run.read_config()["seed"] == 4
    run.results.unlink()
    with Claim(run).hold(CONFIG):  # training needs the whole configuration that was requested
        assert run.read_config()["seed"] == 3
