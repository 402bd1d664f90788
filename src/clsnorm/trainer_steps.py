"""Optimizer steps: how they are numbered, which ones are logged, and whether the optimizer made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from torch.optim import Optimizer


def step_number(trainer: pl.Trainer) -> int:
    """Returns the number of the optimizer step that is being made, from 0: that of its row in ``metrics.csv``.

    A validation has the number of the step that it follows; what comes before the first step has 0, and what comes
    after the last one the number of all steps. So has the validation after training, which is made where
    ``trainer.max_steps`` ended it within an epoch and no validation was due.
    """
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def is_logged(trainer: pl.Trainer) -> bool:
    """Tells whether the trainer logs the optimizer step that is being made."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a connector
    return (step_number(trainer) + 1) % every == 0


def ends_step(trainer: pl.Trainer) -> bool:
    """Tells whether the batch ends an optimizer step; else its gradients wait for those of the next batches."""
    return not trainer.fit_loop.epoch_loop._should_accumulate()


class StepWatch:
    """Knows whether the optimizer made its step, without asking a device.

    AMP's gradient scaler leaves a step out in which a gradient overflowed, unless the optimizer unscales by itself, as
    torch's fused ones do: `clsnorm.model.FineTuner` has the scaler do it for all.

    Args:
        optimizer: It is watched until `remove`.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._made = False
        self._handle = optimizer.register_step_post_hook(self._note)

    def _note(self, *_: Any) -> None:
        self._made = True

    def take(self) -> bool:
        """Tells whether the optimizer has made a step since the last call."""
        made, self._made = self._made, False
        return made

    def remove(self) -> None:
        """Ends the watch."""
        self._handle.remove()
