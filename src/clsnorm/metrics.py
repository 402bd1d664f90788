"""Metrics: their inputs, building them, and three that torchmetrics lacks; the rule for a collapsed classifier."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassF1Score, MulticlassMatthewsCorrCoef

from clsnorm.errors import InputError, refuse, require_whole

ROUNDING = 1e-6  # a correlation of 0 can come out this large in float32


def predictions(logits: Tensor, *, regression: bool) -> Tensor:
    """Returns the inputs of metrics: probabilities ``(B, C)``, or values ``(B,)`` in regression; float32.

    An example with a logit that is not finite has no prediction: all its numbers are NaN.
    """
    logits = logits.detach().float()
    defined = logits.isfinite().all(-1, keepdim=True)
    found = torch.where(defined, logits if regression else logits.softmax(-1), torch.nan)
    return found.squeeze(-1) if regression else found


def largest_share(counts: Any, *, undefined: int) -> float:
    """Returns the share of the most frequent predicted class; NaN if a prediction is undefined.

    Args:
        counts: Predictions by class, an array or a tensor.
        undefined: Examples without a prediction.
    """
    return math.nan if undefined else float(counts.max() / counts.sum())


def build_metrics(
    given: Mapping[str, Metric | Callable[..., Metric]], *, num_outputs: int, regression: bool
) -> dict[str, Metric]:
    """Builds the metrics and tries each on a few correct predictions.

    Args:
        given: By name: metrics, or partials that are called with ``num_classes``.
        num_outputs: Number of classes, or 1.
        regression: Whether metrics take values and targets, ``(B,)``, instead of probabilities ``(B, C)`` and class
            ids.

    Raises:
        InputError: If a metric raises for its arguments or inputs, or does not return one number.
    """
    rows = max(2, num_outputs)
    targets = torch.arange(rows) % num_outputs
    fed = (torch.arange(2.0), torch.arange(2.0)) if regression else (torch.eye(num_outputs)[targets], targets)
    built = {}
    for name, metric in given.items():
        try:
            built[name] = metric if isinstance(metric, Metric) else metric(num_classes=num_outputs)
            with warnings.catch_warnings(action="ignore"):  # about so few rows
                float(alone(built[name])(*fed))
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            if isinstance(error, InputError):
                raise
            takes = "values and targets" if regression else "probabilities of the classes and class ids"
            raise InputError(
                f"Expected `data.metrics.{name}` to be a metric of {takes} giving one number, but it raised: {error}"
            ) from error
    return built


def alone(metric: Metric) -> Metric:
    """Returns a copy of ``metric`` on the CPU that does not synchronize with other processes: it gets all rows."""
    metric = metric.clone().cpu()
    for part in metric.modules():
        if isinstance(part, Metric):
            part.distributed_available_fn = _never
    metric.reset()
    return metric


def _never() -> bool:
    return False


def majority_score(metric: Metric, labels: Any, *, constant: float, num_outputs: int, regression: bool) -> float:
    """Returns the score of the constant prediction on a split.

    Args:
        metric: The monitored metric; unchanged.
        labels: Labels of the split.
        constant: Most frequent class of the training split, or its mean label for regression.
        num_outputs: Number of classes.
        regression: Whether ``constant`` is a value. A correlation with a constant is undefined and counts as 0.
    """
    target = torch.as_tensor(labels)
    if regression and _ignores_constants(metric):
        return 0.0  # computed, it would be rounding: up to 1 if the labels are large and close together
    if regression:
        prediction = torch.full_like(target, constant, dtype=torch.float32)
    else:
        prediction = (
            torch.nn.functional.one_hot(torch.tensor(int(constant)), num_outputs).float().expand(len(target), -1)
        )
    # All ranks have all labels, and NCCL cannot gather the metric's states on the CPU.
    score = float(alone(metric)(prediction, target))
    return 0.0 if math.isnan(score) else score


def _ignores_constants(metric: Metric) -> bool:
    """Is the score of any constant prediction undefined or 0, as that of a correlation is?"""
    target = torch.arange(4.0)
    with warnings.catch_warnings(action="ignore"):  # about predictions without variance
        scores = [float(alone(metric)(torch.full_like(target, constant), target)) for constant in (1.0, 2.0)]
    return all(math.isnan(score) or abs(score) < ROUNDING for score in scores)


def has_collapsed(score: float, majority: float, *, mode: str, largest_share: float) -> bool:
    """Returns whether a classifier has collapsed, at the end of a run and at each validation.

    It has if it is no better than the constant prediction (Mosbach et al., 2021, https://arxiv.org/abs/2006.04884), has
    no score, or predicts the same class for all examples: a class other than the training split's most frequent one
    may score higher.

    Args:
        score: Monitored metric on a split.
        majority: `majority_score` on it.
        mode: Whether the best score is the largest (``max``) or the smallest (``min``).
        largest_share: See `largest_share`; NaN in regression.
    """
    better = score > majority if mode == "max" else score < majority
    return not better or largest_share == 1.0


class ClassF1(MulticlassF1Score):
    """F1 of one class, ``2 TP / (2 TP + FP + FN)``, as GLUE reports it for class 1 of MRPC and QQP.

    Takes probabilities ``(B, C)`` as the other multiclass metrics do, so that all metrics of a data set have the same
    inputs.

    Args:
        num_classes: Number of classes.
        class_index: The class whose F1 is computed.

    Raises:
        InputError: If ``class_index`` is not a class.

    Example:
        >>> import torch
        >>> f1 = ClassF1(num_classes=2)
        >>> f1(torch.eye(2)[[1, 1, 0]], torch.tensor([1, 0, 0]))
        tensor(0.6667)
    """

    def __init__(self, num_classes: int, *, class_index: int = 1, **kwargs: Any) -> None:
        _require_class("class_index", class_index, num_classes)
        super().__init__(num_classes=num_classes, average="none", **kwargs)
        self.class_index = class_index

    def compute(self) -> Tensor:
        return super().compute()[self.class_index]


class MeanClassF1(MulticlassF1Score):
    """The mean F1 of some classes, as SemEval-2016 task 6 reports it for the stances against and favor.

    Inputs as in `ClassF1`. Rows of the other classes count only if they are predicted as one of these.

    Args:
        num_classes: Number of classes.
        class_indices: The classes whose F1 is averaged.

    Raises:
        InputError: If ``class_indices`` is empty, holds one twice, or holds one that is not a class.

    Example:
        >>> import torch
        >>> f1 = MeanClassF1(num_classes=3, class_indices=[1, 2])
        >>> f1(torch.eye(3)[[1, 1, 2]], torch.tensor([1, 0, 2]))
        tensor(0.8333)
    """

    def __init__(self, num_classes: int, *, class_indices: Sequence[int], **kwargs: Any) -> None:
        for index in class_indices:
            _require_class("class_indices", index, num_classes)
        if not class_indices or len(set(class_indices)) < len(class_indices):
            refuse("class_indices", "a list of classes, each once", class_indices)
        super().__init__(num_classes=num_classes, average="none", **kwargs)
        self.class_indices = list(class_indices)

    def compute(self) -> Tensor:
        return super().compute()[self.class_indices].mean()


class Matthews(MulticlassMatthewsCorrCoef):
    """Matthews correlation as GLUE reports it for CoLA: 0 if all predictions, or all labels, are of one class.

    The correlation is undefined then. With two classes torchmetrics returns a limit that depends on their sizes, up to
    1 for a constant prediction, which would hide a collapsed model; scikit-learn, which GLUE uses, returns 0.

    Example:
        >>> import torch
        >>> matthews = Matthews(num_classes=2)
        >>> matthews(torch.eye(2)[[0, 0, 0]], torch.tensor([0, 0, 1]))
        tensor(0.)
    """

    def compute(self) -> Tensor:
        undefined = any((self.confmat.sum(dim) > 0).sum() < 2 for dim in (0, 1))
        return self.confmat.new_zeros((), dtype=torch.float32) if undefined else super().compute()


def _require_class(argument: str, index: int, num_classes: int) -> None:
    advice = f"There are {num_classes} classes, counted from 0"
    require_whole(argument, index, least=0, most=num_classes - 1, advice=advice)
