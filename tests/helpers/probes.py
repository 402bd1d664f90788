"""Callbacks that workers can load, for tests over several processes."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from clsnorm.lightning_internals import step_number


class Spike(Callback):
    """Multiplies the gradients of one optimizer step."""

    def __init__(self, *, step: int, factor: float) -> None:
        self.step, self.factor = step, factor

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        if step_number(trainer) == self.step:
            loss.register_hook(lambda gradient: gradient * self.factor)


class NaiveNorm(Callback):
    """Reads the norm of all gradients as tutorials do, by ``.item()`` after each backward pass.

    Under AMP it is of scaled gradients, with accumulation of each batch, and of one process's shards under FSDP.
    """

    def __init__(self, *, path: str) -> None:
        self.path = path

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        squares = [p.grad.norm().item() ** 2 for p in pl_module.parameters() if p.grad is not None]
        with open(f"{self.path}{trainer.global_rank}", "a") as file:  # noqa: PTH123
            file.write(f"{sum(squares) ** 0.5}\n")
