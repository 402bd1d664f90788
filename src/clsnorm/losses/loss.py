"""`Loss`: the base class of training losses, and the loss by which splits are scored."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def example_losses(logits: Tensor, labels: Tensor, *, regression: bool) -> Tensor:
    """Returns each example's loss in float32, ``(B,)``: cross-entropy, or squared error in regression.

    This is the loss by which splits are scored, so that runs with different training losses can be compared.
    """
    logits = logits.float()
    if regression:
        return F.mse_loss(logits.squeeze(-1), labels.float(), reduction="none")
    return F.cross_entropy(logits, labels, reduction="none")


class Task(NamedTuple):
    """What a loss may depend on.

    Attributes:
        classes: Names of the classes, in the order of their ids; empty in regression.
        counts: Number of training examples of each class, after subsets and label noise.
    """

    classes: Sequence[str] = ()
    counts: Sequence[int] = ()

    @property
    def regression(self) -> bool:
        """Whether labels are numbers."""
        return not self.classes


class Loss(nn.Module, ABC):
    """The loss of each example that a run trains with.

    An optimizer step descends the mean of these values over the step's examples, of all processes and accumulated
    batches. So a loss must not depend on the other examples of its batch, and it has no parameters.

    Args:
        task: Passed when the run is built, as the first argument.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the losses in float32, ``(B,)``.

        Args:
            logits: ``(B, C)``, of any float type; ``(B, 1)`` in regression.
            labels: ``(B,)``: ids of classes, or numbers.
        """

    @property
    def residual_bound(self) -> float:
        """A bound on the norm of the gradient of a training example's loss by its logits; infinite if there is none."""
        return math.inf

    def residuals(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the gradient of each example's loss by its logits, ``(B, C)``, float32; ``p - y`` for cross-entropy.

        It is computed from the logits: no scale of the loss, and no normalizer that mixes the batch, affects it.
        """
        with torch.enable_grad():
            outputs = logits.detach().float().requires_grad_()
            (gradient,) = torch.autograd.grad(self(outputs, labels).sum(), outputs)
        return gradient
