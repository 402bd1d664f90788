"""Lightning's trainer writes its checkpoints with `CheckpointWriter`: sealed, in place, nothing left if it fails."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from scripted_fit import At, fit, outputs

from clsnorm.errors import DamagedFileError, DiskError
from clsnorm.records import CheckpointWriter
from clsnorm.seals import MARK


def saving(path: Path) -> At:
    def save(trainer: object) -> None:
        trainer.strategy.checkpoint_io = CheckpointWriter(path.parent)  # type: ignore[attr-defined]
        trainer.save_checkpoint(path)  # type: ignore[attr-defined]

    return At(1, save)


def test_a_checkpoint_is_sealed_and_needs_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    path = tmp_path / "x.ckpt"
    fit([outputs()] * 3, saving(path))
    assert MARK in path.read_bytes()[-100:]
    found = CheckpointWriter(tmp_path).load_checkpoint(path)
    assert found["global_step"] == 2
    assert torch.equal(found["state_dict"]["weight"], torch.load(path, weights_only=True)["state_dict"]["weight"])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DamagedFileError, match=r"x\.ckpt"):
        CheckpointWriter(tmp_path).load_checkpoint(path)


def test_a_checkpoint_that_does_not_fit_leaves_nothing(tmp_path: Path, small_files: None) -> None:
    path = tmp_path / "x.ckpt"
    with pytest.raises(DiskError, match=r"Cannot write .*x\.ckpt: File too large"):
        CheckpointWriter(tmp_path).save_checkpoint({"weight": torch.zeros(100_000)}, path)
    assert not list(tmp_path.iterdir())


def test_a_callback_gets_its_own_folder_but_a_deleted_run_stays_deleted(tmp_path: Path) -> None:
    run = tmp_path / "run"
    writer, own = CheckpointWriter(run), run / "metrics" / "checkpoints" / "x.ckpt"
    for path in (run / "last.ckpt", own):
        with pytest.raises(DiskError, match=f"Cannot write .*{path.name}"):
            writer.save_checkpoint({"weight": torch.zeros(3)}, path)
    assert not run.exists()
    run.mkdir()
    writer.save_checkpoint({"weight": torch.zeros(3)}, own)
    assert torch.equal(writer.load_checkpoint(own)["weight"], torch.zeros(3))
