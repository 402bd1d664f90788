"""Inner folds and few-shot draws: seeded, stratified, and the same for all arms."""

from __future__ import annotations

import numpy as np


def stratified_folds(labels: np.ndarray, folds: int, *, seed: int) -> np.ndarray:
    """Returns the fold of each row, ``(n,)``, from 0 to ``folds - 1``.

    The rows of each class are shuffled and dealt in turn; the next class continues where the last one ended. So fold
    sizes differ by at most one, in each class and together. Numbers to predict are dealt by their order instead: each
    run of ``folds`` neighbouring values has one row in each fold.

    Args:
        labels: Class ids, or numbers, ``(n,)``.
        folds: At least 2.
        seed: Of the shuffling.
    """
    draw = np.random.default_rng(seed)
    dealt = np.empty(len(labels), dtype=np.int64)
    if np.issubdtype(labels.dtype, np.floating):
        order = np.argsort(labels, kind="stable")
        for start in range(0, len(order), folds):
            part = order[start : start + folds]
            dealt[part] = draw.permutation(folds)[: len(part)]
        return dealt
    order = np.concatenate([draw.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)])
    dealt[order] = np.arange(len(order)) % folds
    return dealt


def few_shot_draws(labels: np.ndarray, shots: int, draws: int, *, seed: int) -> list[np.ndarray]:
    """Returns ``draws`` times the indices of ``shots`` rows of each class, drawn without replacement.

    Args:
        labels: Class ids ``(n,)``; each class has at least ``shots`` rows.
        shots: Rows of a class in a draw.
        draws: Number of draws.
        seed: Of the drawing.
    """
    draw = np.random.default_rng(seed)
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return [np.concatenate([draw.choice(rows, shots, replace=False) for rows in classes]) for _ in range(draws)]
