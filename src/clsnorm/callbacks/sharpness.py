"""Sharpness: the largest curvature of the loss during training, and how far the learning rate is from instability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from typing_extensions import override

from clsnorm.batches import Batch
from clsnorm.callbacks.logs import log_directly
from clsnorm.callbacks.observer import Observer
from clsnorm.callbacks.split_pass import fixed_rows
from clsnorm.errors import InputError, require_fraction, require_switch, require_whole
from clsnorm.gradients import Curvature, Eigenvalue, largest_eigenvalue
from clsnorm.gradients.curvature import Outputs
from clsnorm.lightning_internals import step_number
from clsnorm.losses import Loss
from clsnorm.model import Classifier
from clsnorm.optim.stability import step_scales, threshold


class Sharpness(Observer):
    r"""Logs the largest eigenvalue of the loss's Gauss-Newton matrix over all trainable parameters, before a step.

    The loss is the mean over a fixed sample of training examples, chosen by hashes of their ids, in evaluation mode:
    dropout is off, and batch normalizers use their running statistics. It is computed in float32 without autocast. The
    random state, gradients, buffers and the optimizer are only read, so training is the same to the bit.

    Logged before optimizer step number 0, ``every``, ``2 * every``, ...:

    - ``sharpness/gauss_newton``: :math:`\lambda`, the eigenvalue. ``sharpness/head``: the same for the head's
      parameters alone; never larger. ``sharpness/hessian``: of the Hessian, if ``hessian`` is true.
    - ``sharpness/residual``, ``sharpness/iterations``: of the first of these, see `Eigenvalue`: an eigenvalue lies
      within this share of the number. Above ``tolerance`` it has not converged, and the largest one may be larger.
    - ``sharpness/rate_times``: ``lr`` times :math:`\lambda`, with the largest learning rate of the coming step.
    - ``sharpness/preconditioned``: with Adam, the eigenvalue of :math:`P^{-1/2} G P^{-1/2}` with
      :math:`P = \sqrt{\hat v} + \epsilon`, times the learning rates (by parameter) over the largest.
    - ``sharpness/edge``: the number that decides, over its stability threshold: with SGD :math:`\lambda` times lr over
      2 (or more, with momentum), with Adam the preconditioned number times lr over 38. Above 1, a full-batch step
      without clipping diverges on the local quadratic. Absent for other optimizers and before Adam's first step.

    In the results also ``sharpness/run/max`` and ``sharpness/run/edge_max``: the largest of these over the run.

    A product with a vector costs about three to four training steps on as many examples; one eigenvalue takes up to
    ``iterations`` of them.

    Args:
        every: Optimizer steps between two measurements.
        examples: Training examples; all, if there are fewer.
        iterations: Most products with a vector for one eigenvalue.
        tolerance: Relative residual at which it has converged.
        hessian: Whether to compute the Hessian's, too.

    Raises:
        InputError: If an argument is out of range, or, when training starts, if parameters are sharded.
    """

    def __init__(self, *, every: int, examples: int, iterations: int, tolerance: float, hessian: bool) -> None:
        require_whole("sharpness.every", every, least=1, advice="It counts optimizer steps")
        require_whole("sharpness.examples", examples, least=1)
        require_whole("sharpness.iterations", iterations, least=1, advice="A usual number is 20")
        require_fraction("sharpness.tolerance", tolerance, meaning="a relative residual")
        require_switch("sharpness.hessian", hessian)
        self._every, self._examples, self._hessian = every, examples, hessian
        self._lanczos = {"iterations": iterations, "tolerance": tolerance}
        self._measured = -1  # number of the last step before which it was measured

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if any(isinstance(p, DTensor) for p in pl_module.parameters()):
            raise InputError(
                "Expected whole parameters for callbacks=sharpness, but trainer=fsdp shards them. "
                "Set trainer=ddp, or leave out the callback"
            )

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        step = step_number(trainer)
        if step % self._every == 0 and step != self._measured:  # once, also if a step has several batches
            self._measured = step
            found = self._measure(trainer, pl_module)
            self._remember(found)
            log_directly(trainer, found, step=step)

    def _remember(self, found: dict[str, float]) -> None:
        """Puts the numbers, and the largest of the run, into the results."""
        self.numbers.update(found)
        for name, source in (("max", "gauss_newton"), ("edge_max", "edge")):
            value = found.get(f"sharpness/{source}", math.nan)
            if not math.isnan(value):
                key = f"sharpness/run/{name}"
                self.numbers[key] = max(value, self.numbers.get(key, value))

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, float]:
        """Returns the numbers of the current weights. Collective."""
        classifier, loss, data = self.classifier(pl_module), self.loss(pl_module), self.data(trainer)
        rows = fixed_rows(data.ids_of("train"), self._examples)
        batches = [batch.to(pl_module.device) for batch in data.rows_dataloader("train", rows)]
        batches = [batch for batch in batches if len(batch)]
        optimizer = trainer.optimizers[0]
        names = [name for name, p in classifier.named_parameters() if p.requires_grad]
        parameters = [p for p in classifier.parameters() if p.requires_grad]
        scales = step_scales(optimizer, parameters)
        with classifier.evaluating():
            whole = [(_outputs(classifier, names, batch), batch.labels) for batch in batches]
            problem = _Problem(parameters, whole, len(rows), loss, self._lanczos)
            found = problem.largest()
            numbers = {
                "sharpness/gauss_newton": found.value,
                "sharpness/residual": found.residual,
                "sharpness/iterations": float(found.iterations),
                "sharpness/head": self._of_head(classifier, batches, len(rows), loss).value,
            }
            if self._hessian:
                numbers["sharpness/hessian"] = problem.largest(hessian=True).value
            return numbers | _against_rate(optimizer, problem, found, scales)

    def _of_head(self, classifier: Classifier, batches: Sequence[Batch], count: int, loss: Loss) -> Eigenvalue:
        head = classifier.head
        names = [name for name, _ in head.named_parameters()]
        parts = [(_outputs(head, names, classifier.normalizer(classifier.embed(b))), b.labels) for b in batches]
        return _Problem(list(head.parameters()), parts, count, loss, self._lanczos).largest()


class _Problem:
    """Parameters and batches of which eigenvalues are computed."""

    def __init__(
        self,
        parameters: Sequence[Tensor],
        batches: Sequence[tuple[Outputs, Tensor]],
        count: int,
        loss: Loss,
        lanczos: dict[str, Any],
    ) -> None:
        self._given: tuple[Any, ...] = (parameters, batches)
        self._options, self._lanczos = {"count": count, "loss": loss}, lanczos

    def largest(self, *, hessian: bool = False, scales: Sequence[Tensor] | None = None) -> Eigenvalue:
        curvature = Curvature(*self._given, **self._options, hessian=hessian, scales=scales)  # type: ignore[arg-type]
        return largest_eigenvalue(curvature, curvature.start(), **self._lanczos)


def _outputs(module: nn.Module, names: Sequence[str], given: Any) -> Outputs:
    """Returns the function from a module's parameters, in the order of ``names``, to its outputs for an input."""

    def outputs(parameters: Sequence[Tensor]) -> Tensor:
        result = torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (given,))
        logits: Tensor = getattr(result, "logits", result)
        return logits.float()

    return outputs


def _against_rate(
    optimizer: torch.optim.Optimizer, problem: _Problem, found: Eigenvalue, scales: list[Tensor] | None
) -> dict[str, float]:
    """Returns the numbers that compare the eigenvalue with the learning rate."""
    groups = optimizer.param_groups
    rate = max(float(group["lr"]) for group in groups)
    numbers = {"sharpness/rate_times": rate * found.value}
    limits = [threshold(group) for group in groups]
    if scales is None or not rate:
        return numbers
    limit = min(limit for limit in limits if limit is not None)
    adaptive = any("betas" in group for group in groups)
    if not adaptive and len(np.unique([float(group["lr"]) for group in groups])) == 1:
        return numbers | {"sharpness/edge": rate * found.value / limit}
    scaled = problem.largest(scales=scales).value
    extra = {"sharpness/preconditioned": scaled / rate} if adaptive else {}
    return numbers | extra | {"sharpness/edge": scaled / limit}
