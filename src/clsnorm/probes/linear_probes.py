"""Linear probes: logistic regression, ridge regression, discriminant analysis, nearest mean."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from clsnorm.probes.logistic_regression import TOLERANCE, LogisticFit
from clsnorm.probes.probe import UNCHANGED, FittedProbe, Probe, Start
from clsnorm.probes.train_rows import TrainRows

COARSE = 1e-3  # largest gap of fits that only choose a penalty
EXACT = 1e-13  # gap of fits whose predictions are compared to six digits


class Logistic(Probe):
    """Multinomial logistic regression, ``mean_i -log p_i + c v / 2 ||W||^2``, ``v`` the mean variance of a dimension.

    The bias has no penalty. So shifts, rotations and scaling of all dimensions change nothing; other maps do.
    """

    name = "logistic"
    option = "penalty"
    values = (100.0, 10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
    affine_law = "changes: the penalty depends on the axes; not under shift, rotation and one scale"
    probabilities = True
    ordered = True

    @override
    def fit(self, rows: TrainRows, value: float, *, start: Start = None, final: bool = True) -> FittedProbe:
        before: LogisticFit | None = start.state if start else None
        tolerance = TOLERANCE if final else COARSE
        return _fitted(rows, rows.problem.solve(value * rows.unit, start=before, tolerance=tolerance))


class InvariantLogistic(Probe):
    """Logistic regression with the penalty ``c / 2 sum_k Var(logit_k)`` over the training rows.

    That is L2 regularization after perfect whitening, whatever the rows are. It has an optimum where the unregularized
    probe has none, and predictions stay the same under an invertible affine map at each ``c``.
    """

    name = "logistic_invariant"
    option = "penalty"
    values = (10.0, 1.0, 1e-1, 1e-2, 1e-3)
    affine_law = UNCHANGED
    probabilities = True
    ordered = True

    @override
    def fit(self, rows: TrainRows, value: float, *, start: Start = None, final: bool = True) -> FittedProbe:
        before: LogisticFit | None = start.state if start else None
        return _fitted(rows, rows.invariant_problem.solve(value, start=before, tolerance=EXACT if final else COARSE))


class UnregularizedLogistic(Probe):
    """Logistic regression without a penalty. Under an invertible affine map before it, its predictions stay the same.

    It has no optimum where the classes can be separated; the certificate says so.
    """

    name = "logistic_unregularized"
    affine_law = f"{UNCHANGED}, where an optimum exists"
    probabilities = True

    @override
    def fit(self, rows: TrainRows, value: float, *, start: Start = None, final: bool = True) -> FittedProbe:
        before: LogisticFit | None = start.state if start else None
        return _fitted(rows, rows.problem.solve(0.0, start=before, tolerance=EXACT))


def _fitted(rows: TrainRows, found: LogisticFit) -> FittedProbe:
    def scores(x: np.ndarray) -> np.ndarray:
        return rows.spread(found.log_probabilities(rows.whitened.take(x)))

    return FittedProbe(scores, found.certificate, found)


class Ridge(Probe):
    """Ridge regression onto the classes as 0 and 1, or onto the numbers: ``mean_i ||y_i - f(x_i)||^2 + c v ||W||^2``.

    The intercept has no penalty; ``v`` is the mean variance of a dimension. In closed form.
    """

    name = "ridge"
    option = "penalty"
    values = (100.0, 10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
    affine_law = "changes: the penalty depends on the axes; not under shift, rotation and one scale"
    regression = True

    @override
    def fit(self, rows: TrainRows, value: float, *, start: Start = None, final: bool = True) -> FittedProbe:
        white, mean = rows.whitened, rows.targets.mean(axis=0)
        slope = white.rows.T @ (rows.targets - mean) / len(rows.x)
        slope /= 1 + value * rows.unit / white.variances[:, None]
        return FittedProbe(lambda x: rows.spread(white.take(x) @ slope + mean))


class NearestMean(Probe):
    """The class whose mean is nearest, by Euclidean distance."""

    name = "nearest_mean"
    affine_law = "changes: distances do; not under shift, rotation and one scale"

    @override
    def fit(self, rows: TrainRows, value: float, *, start: Start = None, final: bool = True) -> FittedProbe:
        offsets = (rows.means**2).sum(axis=1) / 2
        return FittedProbe(lambda x: rows.spread(x @ rows.means.T - offsets))


class ShrunkDiscriminant(Probe):
    """Linear discriminant analysis with covariance ``(1 - s) S + s tr(S) / d I``, ``S`` the pooled one within classes.

    Scores are ``m_k^T C^-1 x - m_k^T C^-1 m_k / 2 + log n_k / n``.
    """

    name = "lda"
    option = "shrinkage"
    values = (0.9, 0.5, 0.2, 0.05, 0.01)
    affine_law = "changes: shrinkage depends on the axes; not under shift, rotation and one scale"

    @override
    def fit(self, rows: TrainRows, value: float, *, start: Start = None, final: bool = True) -> FittedProbe:
        within = rows.x - rows.targets @ rows.means
        covariance = within.T @ within / len(rows.x)
        centre = rows.x.mean(axis=0)
        means = rows.means - centre
        unit = np.trace(covariance) / len(covariance)
        shrunk = (1 - value) * covariance + value * unit * np.eye(len(covariance))
        directions = np.linalg.solve(shrunk, means.T)
        offsets = np.log(rows.targets.mean(axis=0)) - (means.T * directions).sum(axis=0) / 2
        return FittedProbe(lambda x: rows.spread((x - centre) @ directions + offsets))
