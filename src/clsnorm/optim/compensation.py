"""Setting the step of a linear layer's mean output apart from the step of what differs between examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def compensate(optimizer: torch.optim.Optimizer, layer: nn.Linear, shift: Callable[[], Tensor]) -> None:
    r"""Makes each later step of ``optimizer`` add :math:`\Delta W s` to the bias of ``layer``.

    :math:`\Delta W` is the step's change of the weight. With ``s = (c / r - 1) m``, the rate factors ``r`` of the
    weight and ``c`` of the bias, and a step that would change the layer by :math:`U z + u` without factors, it changes
    the outputs by

    .. math:: r \, U (z - m) + c \, (U m + u):

    the part that differs between examples by ``r``, the part at the mean ``m`` by ``c``. Gradients are unchanged.

    Args:
        optimizer: Any optimizer that holds the layer's parameters.
        layer: With a bias; may be sharded by rows.
        shift: Returns ``s``, ``(d,)``, at each step: a resumed run loads it after the optimizer was built.
    """
    before: list[Tensor] = []

    def remember(*_: Any) -> None:
        before[:] = [_local(layer.weight).clone()]

    @torch.no_grad()
    def add(*_: Any) -> None:
        change = _local(layer.weight) - before.pop()
        _local(layer.bias).add_(change @ shift().to(change))

    optimizer.register_step_pre_hook(remember)
    optimizer.register_step_post_hook(add)


@torch.no_grad()
def _local(parameter: Tensor) -> Tensor:
    """Returns this process's rows of a parameter, not a copy."""
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter.detach()
