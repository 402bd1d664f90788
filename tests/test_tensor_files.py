"""Files of tensors: sealed while they are written, verified before they are read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from clsnorm.errors import DamagedFileError, DiskError
from clsnorm.seals import seal
from clsnorm.tensor_files import HashedFile, load_tensors, save_array, save_tensors, write_tensors

STATE = {"weights": torch.arange(100_000.0), "step": 3, "nested": {"a": [1, 2]}}


@pytest.mark.parametrize("mmap", [False, True])
def test_what_was_saved_is_loaded(tmp_path: Path, mmap: bool) -> None:
    save_tensors(tmp_path / "x.ckpt", STATE)
    found = load_tensors(tmp_path / "x.ckpt", mmap=mmap)
    assert torch.equal(found["weights"], STATE["weights"])  # type: ignore[arg-type]
    assert {key: found[key] for key in ("step", "nested")} == {"step": 3, "nested": {"a": [1, 2]}}
    assert list(tmp_path.iterdir()) == [tmp_path / "x.ckpt"]


def test_the_seal_is_that_of_a_file_sealed_later(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x.ckpt", STATE)
    with (tmp_path / "y.ckpt").open("wb") as file:
        torch.save(STATE, file)
    seal(tmp_path / "y.ckpt")
    assert (tmp_path / "x.ckpt").read_bytes() == (tmp_path / "y.ckpt").read_bytes()


@pytest.mark.parametrize("write", [write_tensors, save_tensors])
def test_a_full_disk_is_one_error_that_names_the_file(tmp_path: Path, small_files: None, write: object) -> None:
    with pytest.raises(DiskError, match=r"Cannot write .*x\.ckpt: File too large. Raise the limit"):
        write(tmp_path / "x.ckpt", STATE)  # type: ignore[operator]
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_disk_is_stored(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        file = HashedFile(full)
        with pytest.raises(OSError, match="No space"):
            file.write(b"x")
    assert file.error is not None


def test_a_state_that_cannot_be_saved_is_no_disk_error(tmp_path: Path) -> None:
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        save_tensors(tmp_path / "x.ckpt", {"function": lambda: 0})
    assert not list(tmp_path.iterdir())


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "cut", "flipped", "pickle", "old and cut"])
def test_what_is_not_such_a_file_is_named_with_the_advice(tmp_path: Path, kind: str) -> None:
    path, whole, old = tmp_path / "x.ckpt", tmp_path / "whole.ckpt", tmp_path / "old.ckpt"
    save_tensors(whole, STATE)
    torch.save(STATE, old)
    content = whole.read_bytes()
    {
        "missing": lambda: None,
        "folder": path.mkdir,
        "empty": path.touch,
        "text": lambda: path.write_text("state"),
        "cut": lambda: path.write_bytes(content[: len(content) // 2]),
        "flipped": lambda: path.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]),
        "pickle": lambda: torch.save(Payload(tmp_path / "run"), path),
        "old and cut": lambda: path.write_bytes(old.read_bytes()[:-5000]),
    }[kind]()
    for mmap in (True, False):
        with pytest.raises(DamagedFileError, match=r"x\.ckpt is damaged: .+\. Train again$"):
            load_tensors(path, "Train again", mmap=mmap)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "array", [np.arange(6).reshape(2, 3).T, np.zeros(0), np.float32(3), np.ones(300_000, bool), np.array(["ä"])]
)
def test_an_array_is_written_as_numpy_does(tmp_path: Path, array: np.ndarray) -> None:
    save_array(tmp_path / "x.npy", array)
    np.save(tmp_path / "y.npy", array)
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()


def test_a_small_array_on_a_full_disk_is_an_error() -> None:
    with pytest.raises(OSError, match="No space left"):
        save_array(Path("/dev/full"), np.arange(3))
