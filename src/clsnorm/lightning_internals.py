"""Every private name of Lightning, and of torch's gradient scaler, that the package depends on.

Nothing else in the package reads them. `pyproject.toml` caps the version of Lightning that they were tested with; to
raise it, run ``tests/test_lightning_internals.py``, which checks that each name still exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from pytorch_lightning.loggers import WandbLogger
    from pytorch_lightning.strategies import ModelParallelStrategy, Strategy
    from torch import Tensor
    from torch.amp import GradScaler
    from torch.optim import Optimizer


def step_number(trainer: pl.Trainer) -> int:
    """Returns the number of the current optimizer step, from 0: that of its row in ``metrics.csv``.

    A validation has the number of the step before it. Whatever comes before the first step has number 0, and whatever
    comes after the last one has the number of all steps. The latter includes the validation after training, which runs
    if ``trainer.max_steps`` ended training within an epoch and no validation was due.
    """
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def is_logged(trainer: pl.Trainer) -> bool:
    """Returns whether the trainer logs the current optimizer step."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a connector
    return (step_number(trainer) + 1) % every == 0


def ends_step(trainer: pl.Trainer) -> bool:
    """Returns whether the batch ends an optimizer step; if not, its gradients are accumulated with the next ones."""
    return not trainer.fit_loop.epoch_loop._should_accumulate()


def validation_is_due(trainer: pl.Trainer) -> bool:
    """Returns whether a validation follows the current batch."""
    fetcher = trainer.fit_loop._data_fetcher
    return trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)  # type: ignore[arg-type]


def is_ending(trainer: pl.Trainer) -> bool:
    """Returns whether no batch will follow the current one in this training."""
    stops = trainer.should_stop and trainer.fit_loop._can_stop_early
    return stops or trainer.global_step >= trainer.estimated_stepping_batches


def log_again(module: pl.LightningModule, name: str, value: Tensor) -> bool:
    """Replaces the value that the last training step logged under ``name``, as ``module.log`` does, without its checks.

    The checks take longer than a small model's step, and have the same result in each step.

    Args:
        module: A fit is in one of its training steps.
        name: Logged by each step alone, without a mean over the epoch.
        value: ``()``, without a graph.

    Returns:
        Whether this was done. It is not in the first step of an epoch, or after another hook has logged: then
        ``module.log`` must be called.
    """
    found = module.trainer._results
    entry: Any = None if found is None else found.get(f"training_step.{name}")
    if entry is None or entry.has_reset or module.trainer._logger_connector._current_fx != "training_step":
        return False
    entry.value = entry._forward_cache = value
    return True


def loss_scaler(trainer: pl.Trainer) -> GradScaler | None:
    """Returns AMP's gradient scaler; None for precisions that do not scale the loss."""
    return getattr(trainer.precision_plugin, "scaler", None)


def scale_on_device(scaler: GradScaler) -> Tensor:
    """Returns the loss scale, ``()``, on its device: the public ``get_scale`` would wait for the device.

    There is none before the first backward pass.
    """
    return cast("Tensor", scaler._get_scale_async())


def leave_unscaling_to_scaler(optimizer: Optimizer) -> None:
    """Has AMP's scaler unscale the gradients, also for torch's fused optimizers, which can do so themselves.

    Otherwise Lightning would refuse to clip gradients, and nobody could see which steps are skipped without waiting for
    the device.
    """
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]


def set_data_parallel_size(strategy: ModelParallelStrategy, size: int) -> None:
    """Sets the number of processes to shard over; the constructor only takes it before that number is known."""
    strategy._data_parallel_size = size


def forget_optimizers(strategy: Strategy) -> None:
    """Removes the strategy's optimizers and schedulers, so that it can load a file that has weights only."""
    strategy._reset_optimizers_and_schedulers()


def wandb_arguments(logger: WandbLogger) -> dict[str, Any]:
    """Returns the arguments for ``wandb.init``, to be changed in place before the run starts."""
    return logger._wandb_init


class StepWatch:
    """Detects skipped optimizer steps without waiting for a device.

    AMP's gradient scaler skips a step if a gradient overflowed, unless the optimizer unscales gradients itself: see
    `leave_unscaling_to_scaler`.

    Args:
        optimizer: Watched until `remove`.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._made = False
        self._handle = optimizer.register_step_post_hook(self._note)

    def _note(self, *_: Any) -> None:
        self._made = True

    def take(self) -> bool:
        """Returns whether the optimizer has made a step since the last call."""
        made, self._made = self._made, False
        return made

    def remove(self) -> None:
        """Stops watching."""
        self._handle.remove()
