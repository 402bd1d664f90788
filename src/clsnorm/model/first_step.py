"""How far the first step of an optimizer moves a head's outputs, and in which part of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clsnorm.losses import Loss
from clsnorm.model.head import visible
from clsnorm.optim.compensation import compensate
from clsnorm.optim.groups import apply_rates, parameter_groups

Batches = Sequence[tuple[Tensor, Tensor]]  # inputs (n, d) and labels (n,) of whole batches


class FirstStep(NamedTuple):
    """How far the first step moves the outputs, per learning rate.

    ``specific`` and ``common`` are root mean squares over steps, examples and classes, each step taken from one batch
    and looked at on the examples of all batches.

    Attributes:
        total: Of all outputs: for each step, the root mean square over the examples of its own batch and over classes;
            of these, the geometric mean over steps.
        specific: Of the part that softmax can see and that differs between examples: the mean over classes and the mean
            over examples are taken out. With one output there are no classes to take out.
        common: Of the mean over examples, the mean over classes taken out: all examples move alike, as by a bias.
    """

    total: float
    specific: float
    common: float


def first_step(
    head: nn.Module,
    batches: Batches,
    *,
    optimizer: Callable[..., Optimizer],
    loss: Loss,
    rates: Mapping[str, float] | None = None,
    shift: Tensor | None = None,
) -> FirstStep:
    """Returns how far the first step of ``optimizer`` moves the outputs of ``head`` on all examples of ``batches``.

    One step is taken from each batch, on copies of the head in float64. The optimizer itself takes it, so this holds
    for each optimizer: a step of Adam is nearly the sign of the gradient, one of SGD the gradient. Gradients are not
    clipped: a run clips by the norm over all its parameters.

    Args:
        head: Maps inputs to outputs; unchanged.
        batches: Whole batches, of all processes.
        optimizer: Called with parameter groups.
        loss: Of each example.
        rates: Factors of learning rates, as in `parameter_groups`.
        shift: Passed to `clsnorm.optim.compensation.compensate`; None: no compensation.
    """
    origin = copy.deepcopy(head).to("cpu", torch.float64).requires_grad_()
    whole = [(z.detach().to("cpu", torch.float64), labels.cpu()) for z, labels in batches]
    examples, logs, squares = torch.cat([z for z, _ in whole]), [], []
    with torch.no_grad():
        before = origin(examples)
        for z, labels in whole:
            moved = copy.deepcopy(origin)
            rate = _take_step(moved, z, labels, optimizer, loss, rates or {}, shift)
            logs.append((((moved(z) - origin(z)) / rate) ** 2).mean().log() / 2)
            change = visible(moved(examples) - before) / rate
            common = change.mean(0)
            squares.append(torch.stack([((change - common) ** 2).mean(), (common**2).mean()]))
    specific, together = torch.stack(squares).mean(0).sqrt().tolist()
    return FirstStep(float(torch.stack(logs).mean().exp()), specific, together)


def _take_step(
    head: nn.Module,
    z: Tensor,
    labels: Tensor,
    build: Callable[..., Optimizer],
    losses: Loss,
    rates: Mapping[str, float],
    shift: Tensor | None,
) -> float:
    """Takes one step of a new optimizer with the head on a batch and returns the learning rate of its weight."""
    holder = nn.ModuleDict({"head": head})  # whose parameters have the names of a classifier's
    optimizer = build(parameter_groups(holder, rates=rates))
    weight = next(g for g in optimizer.param_groups if any(p is head.weight for p in g["params"]))
    rate = float(weight["lr"])
    apply_rates(optimizer)
    if shift is not None and isinstance(head, nn.Linear):
        compensate(optimizer, head, lambda: shift)

    @torch.enable_grad()
    def loss_of_batch() -> Any:  # torch's type is float, yet its optimizers take a tensor
        optimizer.zero_grad()
        loss = losses(head(z), labels).mean()
        loss.backward()
        return loss

    optimizer.step(loss_of_batch)
    return rate
