"""Lightning's loop over the training batches, without the calls that do nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loops import _TrainingEpochLoop
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.enums import GradClipAlgorithmType
from typing_extensions import override

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
# What a module or its data may replace of a step. With one of these, Lightning makes the step.
REPLACEABLE = ("backward", "optimizer_step", "optimizer_zero_grad", "configure_gradient_clipping")
TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class StepLoop(_TrainingEpochLoop):
    """Makes the same training steps as Lightning, in the same order and to the bit, at a lower cost.

    For each batch, Lightning calls six hooks of each callback and a dozen methods of the module, the strategy, the
    precision and the profiler, each within its own context; most of them do nothing. With a small model, such as a head
    on a frozen encoder, these calls take longer than the step. Here a hook is called only if it is overridden. Progress
    counters, logging, schedulers, validations and resume points are Lightning's.

    Lightning itself makes the steps on several devices or processes, in reduced precision, with a profiler, with a
    module that replaces a part of the step, and after a resume.
    """

    _hooks: StepHooks | None = None
    _shared: SharedNorms | None = None

    @override
    def on_run_start(self, data_fetcher: Any) -> None:
        super().on_run_start(data_fetcher)
        resumed = self.trainer.ckpt_path is not None
        self._hooks = StepHooks(self.trainer) if _is_plain(self.trainer) and not resumed else None

    @override
    def advance(self, data_fetcher: Any) -> None:
        """Trains on one batch."""
        if self._hooks is None:
            super().advance(data_fetcher)
            return
        progress, logged = self.batch_progress, self.trainer._logger_connector
        device = self.trainer.strategy.root_device
        batch, number = next(data_fetcher)[0], self.batch_idx + 1
        progress.is_last_batch = data_fetcher.done
        batch = batch if device.type == "cpu" else batch.to(device)
        progress.increment_ready()
        logged.on_batch_start(batch)
        outputs: dict[str, Any] = {}
        if is_last := self._hooks.call("on_train_batch_start", batch, number) == -1:
            progress.increment_by(0, is_last_batch=True)
        else:
            progress.increment_started()
            outputs = self._step(batch, number, self._hooks)
        progress.increment_processed()
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        if is_last:
            raise StopIteration  # ends the epoch, see `run`
        self._hooks.call("on_train_batch_end", outputs, batch, number)
        logged.on_batch_end()
        progress.increment_completed()
        logged.update_train_step_metrics()

    def _step(self, batch: Any, number: int, hooks: StepHooks) -> dict[str, Any]:
        """Returns the outputs of a batch, after an optimizer step if it ends one."""
        if self._should_accumulate():
            return self._gradients(batch, number, hooks)
        optimizer, steps = self.trainer.optimizers[0], self.automatic_optimization.optim_progress.optimizer.step
        outputs: dict[str, Any] = {}

        def closure() -> Tensor:
            with torch.enable_grad():
                outputs.update(self._gradients(batch, number, hooks))
                hooks.call("on_before_optimizer_step", optimizer)
                self._clip(optimizer)
            loss: Tensor = outputs["loss"]
            return loss

        steps.increment_ready()
        optimizer.step(closure)  # type: ignore[arg-type]  # a loss may be a tensor
        steps.increment_completed()
        return outputs

    def _gradients(self, batch: Any, number: int, hooks: StepHooks) -> dict[str, Any]:
        """Adds the gradients of a batch and returns the outputs of its forward pass."""
        batches, optimizer = self.trainer.accumulate_grad_batches, self.trainer.optimizers[0]
        outputs: dict[str, Any] = hooks.within("training_step", batch, number)
        loss = outputs["loss"] if batches == 1 else outputs["loss"] / batches
        if number % batches == 0:
            progress = self.automatic_optimization.optim_progress.optimizer.zero_grad
            progress.increment_ready()
            hooks.call("on_before_zero_grad", optimizer)
            progress.increment_started()
            optimizer.zero_grad()
            progress.increment_completed()
        hooks.call("on_before_backward", loss)
        loss.backward()
        hooks.call("on_after_backward")
        return {**outputs, "loss": loss.detach()}

    def take_norms(self, parameters: Sequence[Tensor], norms: Sequence[Tensor]) -> None:
        """Takes the norm of each parameter's gradient, for the clipping of this step; see `share_norms`."""
        if self._hooks is not None:
            self._shared = SharedNorms.of(parameters, norms)

    def _clip(self, optimizer: Optimizer) -> None:
        algorithm = self.trainer.gradient_clip_algorithm or GradClipAlgorithmType.NORM
        limit, precision = self.trainer.gradient_clip_val or 0.0, self.trainer.precision_plugin
        shared, self._shared = self._shared, None
        if shared is not None and limit > 0 and algorithm == GradClipAlgorithmType.NORM:
            parameters = [p for p in precision.main_params(optimizer) if p.grad is not None]
            if shared.are_of(parameters):
                total = torch.linalg.vector_norm(torch.stack([shared.norms[id(p)] for p in parameters]))
                torch.nn.utils.clip_grads_with_norm_(parameters, limit, total)
                return
        precision.clip_gradients(optimizer, limit, algorithm)


@dataclass(frozen=True)
class SharedNorms:
    """Norms of gradients that a callback has computed, for as long as these gradients are the same.

    Attributes:
        norms: By ``id`` of the parameter.
        gradients: Each gradient and its version, which every operation in place raises, by ``id`` of the parameter.
    """

    norms: dict[int, Tensor]
    gradients: dict[int, tuple[Tensor, int]]

    @classmethod
    def of(cls, parameters: Sequence[Tensor], norms: Sequence[Tensor]) -> SharedNorms:
        """Notes the norms of the gradients that ``parameters`` have now."""
        found = {id(p): (norm, p.grad) for p, norm in zip(parameters, norms, strict=True)}
        gradients = {key: (grad, grad._version) for key, (_, grad) in found.items() if grad is not None}
        return cls({key: found[key][0] for key in gradients}, gradients)

    def are_of(self, parameters: Sequence[Tensor]) -> bool:
        """Returns whether each parameter has a norm, of the gradient that it still has."""
        return bool(parameters) and all(self._is_of(p) for p in parameters)

    def _is_of(self, parameter: Tensor) -> bool:
        gradient, version = self.gradients.get(id(parameter), (None, 0))
        return gradient is not None and parameter.grad is gradient and gradient._version == version


class StepHooks:
    """The hooks of a training step that callbacks and module override.

    Args:
        trainer: Its callbacks and its module are those of a fit that has begun.

    Attributes:
        trainer: As given.
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        self.trainer, self._module = trainer, trainer.lightning_module
        self._state = vars(self._module)  # setting an attribute of a module is slow
        self._read_callbacks()
        self._of_module = {
            name: getattr(self._module, name) for name in HOOKS if _overrides(self._module, name, pl.LightningModule)
        }

    def _read_callbacks(self) -> None:
        self._callbacks: list[pl.Callback] = [*self.trainer.callbacks]  # type: ignore[attr-defined]
        self._of_callbacks = {
            name: [getattr(callback, name) for callback in self._callbacks if _overrides(callback, name, pl.Callback)]
            for name in HOOKS
        }

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls a hook of the callbacks, in their order, and of the module; returns what that of the module returns."""
        if self.trainer.callbacks != self._callbacks:  # type: ignore[attr-defined]  # some came or went
            self._read_callbacks()
        callbacks, own = self._of_callbacks[name], self._of_module.get(name)
        if not callbacks and own is None:
            return None
        before, self._state["_current_fx_name"] = self._state["_current_fx_name"], name
        for hook in callbacks:
            hook(self.trainer, self._module, *arguments)
        result = None if own is None else own(*arguments)
        self._state["_current_fx_name"] = before
        return result

    def within(self, name: str, *arguments: Any) -> Any:
        """Returns what a method of the module returns, which may log."""
        before, self._state["_current_fx_name"] = self._state["_current_fx_name"], name
        result = getattr(self._module, name)(*arguments)
        self._state["_current_fx_name"] = before
        return result


def share_norms(trainer: pl.Trainer, parameters: Sequence[Tensor], norms: Sequence[Tensor]) -> None:
    """Gives a training step norms of gradients, so that clipping does not compute them again.

    Call it in ``on_before_optimizer_step``. Clipping ignores the norms if gradients have changed since, or if a
    parameter of the optimizer is missing; else its result is the same to the bit. Lightning's own loop has no use for
    them.

    Args:
        trainer: In a fit.
        parameters: The parameters; those without a gradient are left out.
        norms: Euclidean norm of the gradient of each of them, a scalar of the gradient's type.
    """
    loop = trainer.fit_loop.epoch_loop
    if isinstance(loop, StepLoop):
        loop.take_norms(parameters, norms)


def take_steps(trainer: pl.Trainer) -> None:
    """Makes a new trainer train with `StepLoop`."""
    loop = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = StepLoop(trainer, min_steps=loop.min_steps, max_steps=loop.max_steps)


def _overrides(owner: object, name: str, base: type) -> bool:
    found = getattr(owner, name)
    return getattr(found, "__func__", found) is not getattr(base, name)


def _is_plain(trainer: pl.Trainer) -> bool:
    """Returns whether each part of a step is the one that `StepLoop` knows."""
    module, data = trainer.lightning_module, getattr(trainer, "datamodule", None)
    replaced = [name for name in REPLACEABLE + TRANSFERS if _overrides(module, name, pl.LightningModule)]
    if data is not None:
        replaced += [name for name in TRANSFERS if _overrides(data, name, pl.LightningDataModule)]
    return (
        type(trainer.strategy) is SingleDeviceStrategy
        and type(trainer.precision_plugin) is Precision
        and type(trainer.profiler) is PassThroughProfiler  # type: ignore[attr-defined]
        and module.automatic_optimization
        and len(trainer.optimizers) == 1
        and not replaced
    )
