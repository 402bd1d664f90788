"""How well one dimension alone tells the classes apart: an exact search over thresholds, and random labels."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def best_cuts(values: Array, labels: Array, classes: int) -> tuple[Array, Array, Array, Array]:
    """Finds for each dimension the threshold with the largest accuracy, each side predicting its most frequent class.

    All midpoints between neighbouring different values are tried, and no threshold at all. Of equal ones the smallest
    is taken.

    Args:
        values: ``(n, d)``.
        labels: Class ids, ``(n,)``.
        classes: Number of classes.

    Returns:
        Accuracy, threshold (infinite if no cut helps), class below and class above, ``(d,)`` each.
    """
    rows, dim = values.shape
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    total = np.bincount(labels, minlength=classes)
    found = [np.empty(dim), np.empty(dim), np.empty(dim, int), np.empty(dim, int)]
    for j in range(dim):
        below = np.cumsum(labels[order[:, j], None] == np.arange(classes), axis=0)  # (n, C): of the first 1, 2, ...
        right = below.max(1) + (total - below).max(1)
        right[:-1][ordered[:-1, j] == ordered[1:, j]] = 0  # no midpoint between equal values
        cut = int(right[:-1].argmax()) if rows > 1 and right[:-1].max() > right[-1] else rows - 1
        middle = (ordered[cut, j] + ordered[cut + 1, j]) / 2 if cut < rows - 1 else np.inf
        for column, value in zip(
            found, (right[cut] / rows, middle, below[cut].argmax(), (total - below[cut]).argmax()), strict=True
        ):
            column[j] = value
    return found[0], found[1], found[2], found[3]


def single_dimensions(
    train: tuple[Array, Array], other: tuple[Array, Array], *, classes: int, draws: int, seed: int
) -> dict[str, Any]:
    """Fits `best_cuts` on train and measures them on other rows; repeats the search with random labels.

    Args:
        train: Embeddings ``(n, d)`` and labels ``(n,)``.
        other: The same of the rows to measure on.
        classes: Number of classes.
        draws: Permutations of the labels, both of train and of the rows to measure on.
        seed: Of the permutations.

    Returns:
        ``train`` and ``other``: accuracy by dimension; ``majority``: accuracy on ``other`` of the most frequent class
        of train; ``random``: for permuted labels the mean over dimensions and draws and the 95th percentile over draws
        of the best dimension, on train and on ``other``.
    """
    fitted, *cuts = best_cuts(*train, classes)
    generator = np.random.default_rng(seed)
    means: dict[str, list[float]] = {"train": [], "other": []}
    best: dict[str, list[float]] = {"train": [], "other": []}
    for _ in range(draws):
        accuracy, *random = best_cuts(train[0], generator.permutation(train[1]), classes)
        elsewhere = _accuracy(random, other[0], generator.permutation(other[1]))
        for name, values in (("train", accuracy), ("other", elsewhere)):
            means[name].append(float(values.mean()))
            best[name].append(float(values.max()))
    return {
        "train": fitted.tolist(),
        "other": _accuracy(cuts, *other).tolist(),
        "majority": float((other[1] == np.bincount(train[1], minlength=classes).argmax()).mean()),
        "random": {
            name: {"mean": float(np.mean(means[name])), "best_95": float(np.quantile(best[name], 0.95))}
            for name in means
            if draws
        },
    }


def _accuracy(cuts: list[Array], values: Array, labels: Array) -> Array:
    threshold, below, above = cuts
    return np.asarray((np.where(values < threshold, below, above) == labels[:, None]).mean(0))
