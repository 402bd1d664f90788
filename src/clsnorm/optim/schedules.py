"""Learning-rate schedules by optimizer step: a linear warm-up, then a shape."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from clsnorm.errors import InputError, require_between, require_whole


class WarmUp(LRScheduler, ABC):
    """Base: rises linearly from 0 over the warm-up, then follows `shape`.

    To add one: subclass, implement `shape`, add a YAML. The state consists of plain numbers.

    Args:
        optimizer: Its learning rates are scaled.
        num_training_steps: Optimizer steps of the whole training.
        warmup_ratio: Length of the warm-up as a share of all steps, rounded up (as in Hugging Face's Trainer).
        warmup_steps: Length of the warm-up in steps; unless None, it overrides the ratio.

    Raises:
        InputError: If the ratio is outside [0, 1], or a number of steps is negative or unbounded.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        num_training_steps: int,
        warmup_ratio: float = 0.1,
        warmup_steps: int | None = None,
    ) -> None:
        require_between("scheduler.warmup_ratio", warmup_ratio, 0, 1, advice="Set scheduler.warmup_ratio=0.1")
        advice = "Set scheduler.warmup_steps=null to use the ratio"
        require_whole("scheduler.warmup_steps", warmup_steps, least=0, or_null=True, advice=advice)
        if not 0 <= num_training_steps < math.inf:
            raise InputError(
                f"Expected a bounded number of training steps, but got {num_training_steps}. Set trainer.max_epochs or "
                "trainer.max_steps"
            )
        self.num_training_steps = int(num_training_steps)
        self.num_warmup_steps = math.ceil(num_training_steps * warmup_ratio) if warmup_steps is None else warmup_steps
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Returns the groups' learning rates at the current step."""
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]

    def factor(self, step: int) -> float:
        """Returns the factor of the learning rate at ``step``, counted from 0."""
        if step < self.num_warmup_steps:
            return step / max(1, self.num_warmup_steps)
        progress = (step - self.num_warmup_steps) / max(1, self.num_training_steps - self.num_warmup_steps)
        return self.shape(progress)

    @abstractmethod
    def shape(self, progress: float) -> float:
        """Returns the factor after a share ``progress`` of the steps that follow the warm-up; it may exceed 1."""


class Linear(WarmUp):
    """Falls linearly to 0, as for BERT; equal to transformers' ``get_linear_schedule_with_warmup``."""

    def shape(self, progress: float) -> float:
        return max(0.0, 1.0 - progress)


class Constant(WarmUp):
    """Stays constant."""

    def shape(self, progress: float) -> float:
        return 1.0


class Cosine(WarmUp):
    """Falls to 0 along half a cosine (Loshchilov and Hutter, 2017) and stays there."""

    def shape(self, progress: float) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
