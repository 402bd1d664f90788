"""Weights of classes in a loss, scaled so that the mean over the training examples is 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clsnorm.config.spelling import place
from clsnorm.errors import is_number, refuse
from clsnorm.losses.loss import Task

OPTION = "loss.class_weights"


def balanced_weights(counts: Sequence[int]) -> list[float]:
    r"""Returns :math:`n / (K n_c)` for each class c of ``n_c`` of the n examples, where K classes have examples.

    So each class with examples has the same total weight. It is scikit-learn's ``class_weight="balanced"``; a
    class without examples has the weight 1, which nothing uses.

    Example:
        >>> balanced_weights([30, 10])
        [0.6666666666666666, 2.0]
    """
    total, present = sum(counts), sum(count > 0 for count in counts)
    return [total / (present * count) if count else 1.0 for count in counts]


def stated_weights(weights: Mapping[Any, Any], classes: Sequence[str]) -> list[float]:
    """Returns the weights of ``classes``, in their order, from a configuration's mapping of labels to weights.

    Raises:
        InputError: A weight is not positive, a label names no class or one that has a weight already, or a class has
            none.
    """
    found: dict[int, float] = {}
    advice = f"The classes are {', '.join(classes)}; state one weight for each"
    for label, weight in weights.items():
        if not is_number(weight) or not 0 < weight < math.inf:
            refuse(f"{OPTION}.{label}", "a positive number", weight, "To leave a class out, remove its rows")
        if (index := place(label, classes)) is None or index in found:
            refuse(OPTION, "one weight for each class, by its label", label, advice)
        found[index] = float(weight)
    if missing := [name for index, name in enumerate(classes) if index not in found]:
        refuse(OPTION, "a weight for each class", f"none for {', '.join(missing)}", advice)
    return [found[index] for index in range(len(classes))]


def mean_one(weights: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Returns ``weights`` times one factor, so that their mean over the examples of all classes is 1.

    Then only the ratios of weights matter: they do not rescale the loss as a whole.
    """
    mean = sum(weight * count for weight, count in zip(weights, counts, strict=True)) / sum(counts)
    return [weight / mean for weight in weights]


def weights_of(given: str | Mapping[Any, Any] | None, task: Task) -> list[float] | None:
    """Returns the weights that ``loss.class_weights`` states, scaled; None for null.

    Raises:
        InputError: It is neither null, ``balanced`` nor a weight for each class, or the task has no classes.
    """
    if given is None:
        return None
    rule = "null, balanced, or a mapping of each class to its weight, such as {negative: 1, positive: 2}"
    if not (given == "balanced" or isinstance(given, Mapping)):
        refuse(OPTION, rule, given, f"Set {OPTION}=balanced")
    if task.regression:
        refuse(OPTION, "null for a data set whose labels are numbers", given, f"Leave out {OPTION}")
    weights = stated_weights(given, task.classes) if isinstance(given, Mapping) else balanced_weights(task.counts)
    return mean_one(weights, task.counts)
