"""How far seeds of one arm agree in their predictions, and how well calibrated these are."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
BINS = 15


def flips(answers: Array) -> float:
    """Returns the share of examples whose predicted class differs between two seeds, mean over pairs of seeds.

    Args:
        answers: ``(S, n)`` class ids, S at least 2.
    """
    seeds = len(answers)
    classes = int(answers.max()) + 1
    counts = np.stack([(answers == k).sum(0) for k in range(classes)], axis=1)
    same = (counts * (counts - 1)).sum(1) / (seeds * (seeds - 1))
    return float(1 - same.mean())


def fleiss_kappa(answers: Array) -> float:
    """Returns the agreement of seeds beyond chance (Fleiss, 1971); NaN if all predictions are of one class."""
    classes = int(answers.max()) + 1
    shares = np.bincount(answers.ravel(), minlength=classes) / answers.size
    chance = float((shares**2).sum())
    return (1 - flips(answers) - chance) / (1 - chance) if chance < 1 else float("nan")


def jensen_shannon(probabilities: Array) -> float:
    """Returns the Jensen-Shannon divergence of two seeds' predictions in bits, mean over examples and pairs of seeds.

    Args:
        probabilities: ``(S, n, C)``, S at least 2.
    """
    seeds = len(probabilities)
    entropies = _entropy(probabilities)
    found = [
        (_entropy((probabilities[i] + probabilities[j]) / 2) - (entropies[i] + entropies[j]) / 2).mean()
        for i in range(seeds)
        for j in range(i + 1, seeds)
    ]
    return float(np.mean(found))


def _entropy(p: Array) -> Array:
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(-1)


def brier(labels: Array, probabilities: Array) -> float:
    """Returns Brier's score for several classes: the mean squared distance to the label's unit vector, 0 to 2."""
    targets = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - targets) ** 2).sum(1).mean())


def calibration_error(labels: Array, probabilities: Array, *, bins: int = BINS) -> float:
    """Returns the expected calibration error of the predicted class (Guo et al., 2017): equal bins of confidence."""
    _, confidence, right = confidence_bins(labels, probabilities, bins)
    return float(np.abs(right - confidence).sum() / len(labels))


def confidence_bins(labels: Array, probabilities: Array, bins: int) -> tuple[Array, Array, Array]:
    """Returns for equal bins of the highest probability: rows, the sum of these probabilities, and right answers."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return (
        np.bincount(place, minlength=bins),
        np.bincount(place, confidence, minlength=bins),
        np.bincount(place, right, minlength=bins),
    )
