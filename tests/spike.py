"""A callback that multiplies the gradients of one optimizer step; workers of several processes can load it, too."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from clsnorm.steps import step_number


class Spike(Callback):
    def __init__(self, *, step: int, factor: float) -> None:
        self.step, self.factor = step, factor

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        if step_number(trainer) == self.step:
            loss.register_hook(lambda gradient: gradient * self.factor)
