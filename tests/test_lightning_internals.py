"""Private names of Lightning and torch: they exist in the installed versions, and one module reads them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.strategies import ModelParallelStrategy, Strategy

from clsnorm import lightning_internals
from clsnorm.lightning_internals import StepWatch, loss_scaler, scale_on_device

SOURCE = Path(lightning_internals.__file__)


def private_names(path: Path) -> set[str]:
    """Private attributes of other objects than ``self`` and ``cls`` that a file reads or sets."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    own = {"self", "cls"}
    return {
        node.attr
        for node in found
        if node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in own)
    }


@pytest.fixture
def owners(tmp_path: Path) -> dict[str, Any]:
    """An object of the installed versions that has each name."""
    loop = pl.Trainer(logger=False, enable_checkpointing=False, default_root_dir=tmp_path, accelerator="cpu").fit_loop
    fused = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], fused=True)
    return {
        "_batches_that_stepped": loop.epoch_loop,
        "_should_accumulate": loop.epoch_loop,
        "_should_check_val_fx": loop.epoch_loop,
        "_data_fetcher": loop,
        "_can_stop_early": loop,
        "_get_scale_async": torch.amp.GradScaler("cpu"),
        "_step_supports_amp_scaling": fused,
        "_data_parallel_size": ModelParallelStrategy(),
        "_reset_optimizers_and_schedulers": Strategy,
        "_wandb_init": WandbLogger(save_dir=tmp_path, mode="disabled"),
    }


def test_each_private_name_exists(owners: dict[str, Any]) -> None:
    assert private_names(SOURCE) == owners.keys()
    assert [name for name, owner in owners.items() if not hasattr(owner, name)] == []


def test_no_other_module_reads_them(owners: dict[str, Any]) -> None:
    for path in SOURCE.parent.rglob("*.py"):
        if path != SOURCE:
            tree = ast.parse(path.read_text())
            attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not attributes & owners.keys(), path


def test_the_scale_is_a_tensor_on_the_device() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(torch.ones(()))
    assert scale_on_device(scaler).item() == scaler.get_scale() == 8.0


def test_without_amp_there_is_no_scaler(tmp_path: Path) -> None:
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, default_root_dir=tmp_path, accelerator="cpu")
    assert loss_scaler(trainer) is None


def test_a_step_watch_sees_steps_until_it_is_removed() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    watch = StepWatch(optimizer)
    assert not watch.take()
    optimizer.step()
    assert [watch.take(), watch.take()] == [True, False]
    watch.remove()
    optimizer.step()
    assert not watch.take()
