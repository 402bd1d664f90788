"""Stochastic gradient descent with momentum and learning rates by depth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from clsnorm.errors import refuse, require_nonnegative, require_probability, require_switch
from clsnorm.optim.groups import arrange


class SGD(torch.optim.SGD):
    r"""``torch.optim.SGD`` with learning rates by depth: its steps grow with the gradient, unlike Adam's.

    .. math:: b \leftarrow \mu b + g + \lambda p, \quad p \leftarrow p - \text{lr} \, b

    with :math:`b = g + \lambda p` at the first step; with ``nesterov``, :math:`g + \lambda p + \mu b` takes the place
    of :math:`b` in the second formula. Adam divides by the gradient's size, so a gradient a thousand times as large
    gives the same step. Here it gives a step a thousand times as large, unless ``trainer.gradient_clip_val`` bounds it:
    an effect that acts through the size of gradients can only be seen here.

    Weight decay is L2 regularization: it is added to the gradient. Over many steps of a constant gradient a weight
    shrinks by :math:`\text{lr} \, \lambda / (1 - \mu)` a step.

    Args:
        groups: What `clsnorm.optim.groups.parameter_groups` returns, or plain parameters.
        lr: Learning rate at the head.
        momentum: Share of the last step's direction that is kept, :math:`\mu`; 0: plain gradient descent.
        nesterov: Whether momentum is Nesterov's; needs a momentum above 0.
        weight_decay: :math:`\lambda`, of matrices.
        layer_decay: Factor from layer to layer; 1 trains all layers at the same rate.
        head_lr_factor: The head's learning rate over ``lr``.

    Raises:
        InputError: If an argument is out of range.

    References:
        On the importance of initialization and momentum in deep learning (Sutskever et al., 2013).
    """

    def __init__(
        self,
        groups: Iterable[Any],
        *,
        lr: float,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        layer_decay: float = 1.0,
        head_lr_factor: float = 1.0,
    ) -> None:
        arranged = arrange(groups, lr=lr, layer_decay=layer_decay, head_lr_factor=head_lr_factor)
        require_probability("optimizer.momentum", momentum, advice="Set optimizer.momentum=0.9")
        require_nonnegative("optimizer.weight_decay", weight_decay, advice="Set optimizer.weight_decay=0")
        require_switch("optimizer.nesterov", nesterov)
        if nesterov and momentum == 0:
            refuse("optimizer.nesterov", "false without momentum", nesterov, "Set optimizer.momentum=0.9")
        super().__init__(arranged, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
