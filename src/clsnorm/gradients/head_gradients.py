"""Gradients at the head's parameters, of each example: in closed form, without a backward pass per example."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def head_norms(head: nn.Module, z: Tensor, residual: Tensor) -> dict[str, Tensor] | None:
    """Returns the norms of each example's gradient by the head's ``weight`` and ``bias``, ``(B,)`` each.

    For a linear head ``W z + b`` the gradients are ``r z^T`` and ``r``, so their norms are ``||r|| ||z||`` and
    ``||r||``.

    Args:
        head: The head; None is returned unless it is linear.
        z: Its input, after dropout, ``(B, d)``.
        residual: The gradient ``r`` by its outputs (`clsnorm.losses.Loss.residuals`).
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


def bound_at_z(gram: Tensor, *, dropout: float, residual_bound: float) -> float:
    r"""Returns a bound on the norm of an example's gradient at z.

    It is :math:`b \|W\|_2 / (1 - p)`: the gradient is ``W^T r`` times the mask of dropout, and ``||r|| <= b``. For
    cross-entropy, ``r = p - y`` and :math:`b = \sqrt 2`. NaN if residuals have no bound, as in regression.

    Args:
        gram: The value of `head_gram`, on the host.
        dropout: The probability p of dropout between z and the head.
        residual_bound: b, that is `clsnorm.losses.Loss.residual_bound`.
    """
    if math.isinf(residual_bound) or not bool(gram.isfinite().all()):
        return math.nan
    largest = float(torch.linalg.eigvalsh(gram)[-1])
    return residual_bound * math.sqrt(max(largest, 0.0)) / (1 - dropout)
