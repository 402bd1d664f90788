"""`StandardLoss`: cross-entropy or squared error, with class weights and label smoothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from clsnorm.errors import refuse, require_probability
from clsnorm.losses.class_weights import weights_of
from clsnorm.losses.loss import Loss, Task, example_losses


class StandardLoss(Loss):
    r"""Cross-entropy; squared error in regression.

    With class weights w and label smoothing s (Szegedy et al., 2016), the loss of an example of class y among C is

    .. math:: w_y \, \Big( -(1 - s) \log p_y - \frac{s}{C} \sum_c \log p_c \Big).

    `torch.nn.CrossEntropyLoss` differs twice. Its mean divides by the sum of the weights in a batch; here it divides by
    the number of examples, and weights have the mean 1 over the training split, so that a gradient does not depend on
    how a step's examples are split into batches. And it multiplies each smoothed term by the weight of class c; here
    the weight of an example is that of its own class.

    Args:
        task: Passed when the run is built.
        class_weights: ``balanced`` (`clsnorm.losses.balanced_weights`), or a mapping of each class to its weight, of
            which only the ratios matter; None: 1.
        label_smoothing: s, from 0 to below 1.

    Raises:
        InputError: A value is out of its range, or not null in regression.
    """

    weights: Tensor | None

    def __init__(
        self,
        task: Task,
        *,
        class_weights: Literal["balanced"] | Mapping[str, Any] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(task)
        require_probability("loss.label_smoothing", label_smoothing, advice="Set loss.label_smoothing=0.1")
        if task.regression and label_smoothing:
            refuse("loss.label_smoothing", "0 for a data set whose labels are numbers", label_smoothing, "Leave it out")
        self.label_smoothing = float(label_smoothing)
        weights = weights_of(class_weights, task)
        self.register_buffer("weights", None if weights is None else torch.tensor(weights), persistent=False)
        self._bound = math.inf if task.regression else _residual_bound(task, weights, self.label_smoothing)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.task.regression:
            return example_losses(logits, labels, regression=True)
        losses = F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=self.label_smoothing)
        return losses if self.weights is None else losses * self.weights.to(labels.device)[labels]

    @property
    def residual_bound(self) -> float:
        """The largest norm that it can have: where a wrong class is certain; infinite in regression."""
        return self._bound


def _residual_bound(task: Task, weights: list[float] | None, smoothing: float) -> float:
    """Returns the norm of ``w (p - t)`` with t the smoothed label, p certain of another class, w the largest weight."""
    largest = max((w for w, count in zip(weights, task.counts, strict=True) if count), default=1.0) if weights else 1.0
    spread = smoothing / len(task.classes)
    away = (1 - spread) ** 2 + (1 - smoothing + spread) ** 2 + (len(task.classes) - 2) * spread**2
    return largest * math.sqrt(away)
