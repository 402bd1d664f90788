"""The rows that a probe is fitted to."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from clsnorm.probes.logistic_regression import LogisticProblem
from clsnorm.probes.whitened_rows import WhitenedRows


class TrainRows:
    """Normalized rows with their labels, and what several probes need of them.

    Args:
        x: Float64 ``(n, d)``.
        labels: Class ids or numbers, ``(n,)``.
        classes: Number of classes; 0: the labels are numbers.

    Attributes:
        present: The classes that have rows, in order. Only these are predicted.
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray, classes: int) -> None:
        self.x, self.labels, self.classes = x, labels, classes
        self.present = np.unique(labels) if classes else np.empty(0, dtype=np.int64)

    @cached_property
    def whitened(self) -> WhitenedRows:
        """The rows in coordinates of unit covariance."""
        return WhitenedRows.of(self.x)

    @cached_property
    def problem(self) -> LogisticProblem:
        """Logistic regression on the present classes."""
        return LogisticProblem(self.whitened, self._ids, len(self.present))

    @cached_property
    def invariant_problem(self) -> LogisticProblem:
        """The same with the penalty on the variance of the logits."""
        return LogisticProblem(self.whitened, self._ids, len(self.present), invariant=True)

    @property
    def _ids(self) -> np.ndarray:
        return np.searchsorted(self.present, self.labels)

    @cached_property
    def unit(self) -> float:
        """The mean variance of a dimension: the unit of all penalties, so that the scale of ``x`` has no effect."""
        return float(self.whitened.variances.sum() / self.x.shape[1])

    @cached_property
    def targets(self) -> np.ndarray:
        """What a regression predicts: one column for each present class, 1 for its rows, else 0; or the numbers."""
        if self.classes:
            return (self.labels[:, None] == self.present).astype(np.float64)
        return self.labels.astype(np.float64)[:, None]

    @cached_property
    def means(self) -> np.ndarray:
        """The mean of each present class, ``(k, d)``."""
        return self.targets.T @ self.x / self.targets.sum(axis=0)[:, None]

    def spread(self, scores: np.ndarray) -> np.ndarray:
        """Returns scores ``(m, k)`` of the present classes as ``(m, classes)``, minus infinity for the others."""
        if not self.classes or len(self.present) == self.classes:
            return scores
        full = np.full((len(scores), self.classes), -np.inf)
        full[:, self.present] = scores
        return full
