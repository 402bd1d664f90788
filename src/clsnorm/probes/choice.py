"""How the inner folds choose the option of a probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clsnorm.probes.logistic_regression import UNCONVERGED
from clsnorm.probes.probe import FittedProbe, Probe
from clsnorm.probes.train_rows import TrainRows


@dataclass(frozen=True)
class Fold:
    """One inner fold in the coordinates of one arm.

    Attributes:
        rows: All other rows; the normalizer was fitted to these.
        x: The rows of the fold, ``(m, d)``.
        labels: Theirs.
    """

    rows: TrainRows
    x: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Choice:
    """What the folds chose.

    Attributes:
        value: Of the probe's option.
        errors: Mean error on held-out rows by value tried; see `Probe.errors`.
        unconverged: Fits in the folds without a certificate.
    """

    value: float
    errors: dict[float, float]
    unconverged: int


def choose(probe: Probe, folds: Sequence[Fold]) -> Choice:
    """Returns the value with the smallest mean error on held-out rows; of equal ones the simplest probe.

    Rows of a class that has no other row outside their fold do not count: no probe could predict them.
    """
    if len(probe.values) == 1:
        return Choice(probe.values[0], {}, 0)
    errors: dict[float, float] = {}
    before: list[FittedProbe | None] = [None] * len(folds)
    unconverged = 0
    for value in probe.values:
        fits = [probe.fit(fold.rows, value, start=fit, final=False) for fold, fit in zip(folds, before, strict=True)]
        unconverged += sum(fit.certificate is not None and fit.certificate.verdict == UNCONVERGED for fit in fits)
        found = [_errors(probe, fold, fit) for fold, fit in zip(folds, fits, strict=True)]
        errors[value] = float(np.concatenate(found).mean())
        if probe.ordered and errors[value] > min(errors.values()):
            break
        before = [*fits]
    return Choice(min(errors, key=lambda value: errors[value]), errors, unconverged)


def _errors(probe: Probe, fold: Fold, fit: FittedProbe) -> np.ndarray:
    known = np.isin(fold.labels, fold.rows.present) if fold.rows.classes else np.full(len(fold.labels), True)
    return probe.errors(fit.scores(fold.x[known]), fold.labels[known])
