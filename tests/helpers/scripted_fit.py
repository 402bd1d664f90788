"""A fit of Lightning's real trainer, whose steps return scripted outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

Outputs = dict[str, torch.Tensor]


def outputs(**bad: float) -> Outputs:
    """A step's outputs; the last value of each name in ``bad`` is replaced."""
    values = {"h": torch.ones(3, 4), "z": torch.ones(3, 4), "loss": torch.ones(())}
    for name, value in bad.items():
        values[name].view(-1)[-1] = value
    return values


class Scripted(pl.LightningModule):
    """Step i returns ``script[i]``, and its loss has a gradient."""

    def __init__(self, script: Sequence[Outputs]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.script = script

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> Outputs:
        step = self.script[self.trainer.fit_loop.total_batch_idx]
        return {**step, "loss": step["loss"] * self.weight.sum()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Validated(Scripted):
    """Validations log ``select/score``: ``scores[i]`` in the one that ends with training batch ``every * (i + 1)``."""

    def __init__(self, script: Sequence[Outputs], scores: Sequence[float]) -> None:
        super().__init__(script)
        self._scores, self._every = scores, len(script) // len(scores)

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> Outputs:
        score = self._scores[self.trainer.global_step // self._every - 1]
        self.log("select/score", torch.tensor(score), batch_size=1)
        return {"h": batch}


def fit(
    script: Sequence[Outputs] | Scripted, *callbacks: Callback, resume: Any = None, val: Any = None, **options: Any
) -> pl.Trainer:
    """Fits on CPU, one batch per item of ``script``; numbers are logged every second step."""
    module = script if isinstance(script, Scripted) else Scripted(script)
    settings = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "log_every_n_steps": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        **options,
    }
    trainer = pl.Trainer(callbacks=[*callbacks], **settings)
    loader = torch.utils.data.DataLoader(torch.zeros(len(module.script), 1))
    trainer.fit(module, loader, val, ckpt_path=resume, weights_only=False)
    return trainer


class At(Callback):
    """Calls ``act(trainer)`` at the end of a batch."""

    def __init__(self, batch: int, act: Callable[[pl.Trainer], Any]) -> None:
        self.batch, self.act = batch, act

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.batch:
            self.act(trainer)
