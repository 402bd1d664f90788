"""Two ways to log numbers without rounding them."""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl
import torch


def log(pl_module: pl.LightningModule, numbers: Mapping[str, float]) -> None:
    """Logs by way of Lightning, which also keeps the numbers for those that ask for a step's or a validation's."""
    exact = {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}
    pl_module.log_dict(exact, rank_zero_only=True, batch_size=1)


def log_directly(trainer: pl.Trainer, numbers: dict[str, float], *, step: int) -> None:
    """Logs past Lightning, which takes no numbers before the first step and after a test, and repeats those of a step.

    What is given to it in a training step it logs again at each logged step until the epoch ends; and it takes a third
    of a millisecond a number, for a hundred of them as long as all norms of a small model's parameters take.
    """
    if trainer.is_global_zero:
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=step)
