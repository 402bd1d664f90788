"""`Probe`: what all probes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clsnorm.probes.logistic_regression import Certificate
from clsnorm.probes.train_rows import TrainRows

UNCHANGED = "does not change"
Scores = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class FittedProbe:
    """A probe fitted at one value of its option.

    Attributes:
        scores: From rows ``(m, d)`` to scores ``(m, classes)``, the largest at the predicted class; for numbers
            ``(m, 1)``, the prediction.
        certificate: How near to the optimum it is; None for a closed form.
        state: With which the next value can start.
    """

    scores: Scores
    certificate: Certificate | None = None
    state: Any = None


Start = FittedProbe | None


class Probe(ABC):
    """A simple classifier on frozen features, with at most one option that the inner folds choose.

    Attributes:
        name: In the results.
        option: Name of the option; empty if there is none.
        values: Its values, from the simplest probe to the most flexible one; one value if nothing is chosen.
        affine_law: Whether predictions change under an invertible affine map, in words: `UNCHANGED`, or what changes.
        probabilities: Whether scores are logarithms of probabilities.
        regression: Whether it also predicts numbers.
        ordered: Whether the error on held-out rows first falls and then rises along `values`: then a search may stop
            at the first rise.
    """

    name: ClassVar[str]
    option: ClassVar[str] = ""
    values: ClassVar[tuple[float, ...]] = (0.0,)
    affine_law: ClassVar[str]
    probabilities: ClassVar[bool] = False
    regression: ClassVar[bool] = False
    ordered: ClassVar[bool] = False

    @abstractmethod
    def fit(self, rows: TrainRows, value: float, *, start: Start = None, final: bool = True) -> FittedProbe:
        """Returns the probe fitted to ``rows``.

        Args:
            rows: With at least two classes, or numbers.
            value: Of the option.
            start: The fit of the value before, on the same rows.
            final: Whether its predictions are reported; else they only choose a value, and a coarse fit will do.
        """

    def is_invariant(self) -> bool:
        """Returns whether no invertible affine map changes a prediction."""
        return self.affine_law.startswith(UNCHANGED)

    def errors(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns what the inner folds minimize, for each row: negative log-likelihood, else 0 or 1; squared error."""
        if not np.issubdtype(labels.dtype, np.integer):
            return (scores[:, 0] - labels) ** 2
        if self.probabilities:
            return -scores[np.arange(len(labels)), labels]
        return (scores.argmax(axis=1) != labels).astype(np.float64)
