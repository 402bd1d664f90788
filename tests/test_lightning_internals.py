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
from torch.utils.data import DataLoader

from clsnorm import lightning_internals, lightning_loop
from clsnorm.lightning_internals import StepWatch, log_again, loss_scaler, scale_on_device

SOURCE = Path(lightning_internals.__file__)
READERS = (SOURCE, Path(lightning_loop.__file__))


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
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, default_root_dir=tmp_path, accelerator="cpu")
    loop = trainer.fit_loop
    fused = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], fused=True)
    return {
        "_batches_that_stepped": loop.epoch_loop,
        "_should_accumulate": loop.epoch_loop,
        "_should_check_val_fx": loop.epoch_loop,
        "_data_fetcher": loop,
        "_can_stop_early": loop,
        "_results": trainer,
        "_logger_connector": trainer,
        "_current_fx": trainer._logger_connector,
        "_forward_cache": _logged(loop.epoch_loop._results),
        "_get_scale_async": torch.amp.GradScaler("cpu"),
        "_step_supports_amp_scaling": fused,
        "_data_parallel_size": ModelParallelStrategy(),
        "_reset_optimizers_and_schedulers": Strategy,
        "_wandb_init": WandbLogger(save_dir=tmp_path, mode="disabled"),
        "_version": torch.zeros(1),
    }


def _logged(collection: Any) -> Any:
    collection.log("training_step", "loss", torch.ones(()), on_step=True, on_epoch=False)
    return collection["training_step.loss"]


def test_each_private_name_exists(owners: dict[str, Any]) -> None:
    assert set.union(*map(private_names, READERS)) == owners.keys()
    assert [name for name, owner in owners.items() if not hasattr(owner, name)] == []


def test_no_other_module_reads_them(owners: dict[str, Any]) -> None:
    for path in SOURCE.parent.rglob("*.py"):
        if path not in READERS:
            tree = ast.parse(path.read_text())
            attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not attributes & owners.keys(), path


class Logging(pl.LightningModule):
    """Logs a number in each step, and records how, and what callbacks see."""

    def __init__(self, other: bool) -> None:
        super().__init__()
        self.other, self.again, self.seen = other, [], []
        self.weight = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        value = torch.tensor(10.0 * self.current_epoch + batch_idx)
        self.again.append(log_again(self, "value", value))
        if not self.again[-1]:
            self.log("value", value)
        return self.weight * 1

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        if self.other:
            self.log("other", 1.0)

    def on_train_batch_end(self, *_: Any) -> None:
        self.seen.append(self.trainer.logged_metrics["value"].item())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("other", [False, True])
def test_a_number_is_logged_again_unless_an_epoch_or_another_hook_came_between(other: bool, tmp_path: Path) -> None:
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", default_root_dir=tmp_path, **silent)
    module = Logging(other)
    trainer.fit(module, DataLoader(torch.zeros(3, 1), batch_size=None))  # type: ignore[arg-type]
    assert module.again == [False, not other, not other] * 2
    assert module.seen == [0, 1, 2, 10, 11, 12]


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
