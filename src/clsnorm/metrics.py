"""What metrics are fed, how they are kept from asking other processes, and those that torchmetrics lacks."""

from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassF1Score

from clsnorm.errors import InputError


def predictions(logits: Tensor, *, regression: bool) -> Tensor:
    """Returns what metrics take: probabilities ``(B, C)``, or values ``(B,)`` in regression; float32."""
    logits = logits.detach().float()
    return logits.squeeze(-1) if regression else logits.softmax(-1)


def alone(metric: Metric) -> Metric:
    """Copies ``metric`` to the CPU and has it trust that it sees all rows, instead of asking other processes."""
    metric = metric.clone().cpu()
    for part in metric.modules():
        if isinstance(part, Metric):
            part.distributed_available_fn = _never
    metric.reset()
    return metric


def _never() -> bool:
    return False


class ClassF1(MulticlassF1Score):
    """F1 of one class, ``2 TP / (2 TP + FP + FN)``: what GLUE reports for MRPC and QQP, there of class 1.

    Takes probabilities ``(B, C)`` as the other multiclass metrics do, so that all metrics of a data set are fed alike.

    Args:
        num_classes: Number of classes.
        class_index: The class whose F1 is wanted.

    Raises:
        InputError: If ``class_index`` is not a class.

    Example:
        >>> import torch
        >>> f1 = ClassF1(num_classes=2)
        >>> f1(torch.eye(2)[[1, 1, 0]], torch.tensor([1, 0, 0]))
        tensor(0.6667)
    """

    def __init__(self, num_classes: int, *, class_index: int = 1, **kwargs: Any) -> None:
        if not 0 <= class_index < num_classes:
            raise InputError(
                f"Expected argument `class_index` to be in [0, {num_classes - 1}], but got {class_index}: there are "
                f"{num_classes} classes. Name one of them, counting from 0"
            )
        super().__init__(num_classes=num_classes, average="none", **kwargs)
        self.class_index = class_index

    def compute(self) -> Tensor:
        return super().compute()[self.class_index]
