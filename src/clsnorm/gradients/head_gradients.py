"""Gradients at the head's parameters, of each example: in closed form, without a backward pass per example."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from clsnorm.model.scores import example_losses


def residuals(logits: Tensor, labels: Tensor, *, regression: bool) -> Tensor:
    """Returns the gradient of each example's own loss by its outputs, ``(B, C)``, float32.

    ``p - y`` for cross-entropy, ``2 (f - y)`` for the squared error. It is computed from the outputs: no scale of the
    loss, and no normalizer that mixes the batch, affects it.
    """
    with torch.enable_grad():
        outputs = logits.detach().float().requires_grad_()
        (gradient,) = torch.autograd.grad(example_losses(outputs, labels, regression=regression).sum(), outputs)
    return gradient


def head_norms(head: nn.Module, z: Tensor, residual: Tensor) -> dict[str, Tensor] | None:
    """Returns the norms of each example's gradient by the head's ``weight`` and ``bias``, ``(B,)`` each.

    For a linear head ``W z + b`` the gradients are ``r z^T`` and ``r``, so their norms are ``||r|| ||z||`` and
    ``||r||``.

    Args:
        head: The head; None is returned unless it is linear.
        z: Its input, after dropout, ``(B, d)``.
        residual: The gradient ``r`` by its outputs (`residuals`).
    """
    if not isinstance(head, nn.Linear):
        return None
    length = residual.double().norm(dim=1)
    return {"weight": length * z.detach().double().norm(dim=1)} | ({} if head.bias is None else {"bias": length})


def head_gram(head: nn.Module) -> Tensor | None:
    """Returns ``W W^T`` or ``W^T W``, whichever is smaller, float64, for `bound_at_z`; None unless the head is linear.

    Collective if the weights are sharded.
    """
    if not isinstance(head, nn.Linear):
        return None
    weight: Tensor = head.weight.detach()
    weight = (weight.full_tensor() if isinstance(weight, DTensor) else weight).double()
    return weight @ weight.T if len(weight) <= weight.shape[1] else weight.T @ weight


def bound_at_z(gram: Tensor, *, dropout: float, regression: bool) -> float:
    r"""Returns a bound on the norm of an example's gradient at z.

    With cross-entropy it is :math:`\sqrt 2 \|W\|_2 / (1 - p)`: the gradient is ``W^T (p - y)`` times the mask of
    dropout, and ``||p - y|| <= sqrt(2)``. NaN in regression, whose residuals have no bound.

    Args:
        gram: The value of `head_gram`, on the host.
        dropout: The probability p of dropout between z and the head.
        regression: Whether the loss is the squared error.
    """
    if regression or not bool(gram.isfinite().all()):
        return math.nan
    largest = float(torch.linalg.eigvalsh(gram)[-1])
    return math.sqrt(2 * max(largest, 0.0)) / (1 - dropout)
