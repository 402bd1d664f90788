"""Multinomial logistic regression that proves how close to the optimum it is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from clsnorm.probes.conjugate_gradients import Map, conjugate_gradients
from clsnorm.probes.whitened_rows import WhitenedRows

TOLERANCE = 1e-6  # largest duality gap, as a share of the loss
ROUNDING = 1e-15  # a gap that float64 cannot tell from 0, absolute
QUICK = 15  # products with the Hessian before its approximate inverse is computed, which costs about as many
LARGEST = 4000  # weights up to which an unpenalized problem is solved with its whole Hessian
CONVERGED, SEPARABLE, UNCONVERGED = "converged", "separable", "not converged"


@dataclass(frozen=True)
class Certificate:
    """What is proven about a fit.

    Attributes:
        verdict: `CONVERGED`: the gap is within the tolerance. `SEPARABLE`: a hyperplane has all training rows of one
            class on one side and all others on the other, or each training row has its largest logit at its class. Then
            without a penalty the loss falls along a ray, and no weights attain its infimum. `UNCONVERGED`.
        loss: The objective: mean negative log-likelihood in nats, plus the penalty.
        bound: No weights have a smaller objective: the value of a feasible point of the dual problem.
        gradient: Euclidean norm of the gradient of the objective, in coordinates of unit covariance.
        iterations: Newton steps.
    """

    verdict: str
    loss: float
    bound: float
    gradient: float
    iterations: int

    @property
    def gap(self) -> float:
        """The duality gap over the loss: no weights have a loss smaller by more than this share."""
        return (self.loss - self.bound) / self.loss if self.loss > 0 else 0.0


@dataclass(frozen=True)
class LogisticFit:
    """A fitted probe in whitened coordinates.

    Attributes:
        weights: ``(r + 1, k)``; the last row is the bias. If the rows are separable, a direction that separates them.
        certificate: How good they are.
    """

    weights: np.ndarray
    certificate: Certificate

    def log_probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Returns ``log p`` ``(m, k)`` of whitened rows ``(m, r)``."""
        return log_softmax(self.logits(rows))

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Returns the logits ``(m, k)`` of whitened rows ``(m, r)``."""
        return rows @ self.weights[:-1] + self.weights[-1]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the logarithms of the softmax of each row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@dataclass
class _Point:
    """Weights, and what the objective is there."""

    weights: np.ndarray
    logits: np.ndarray
    p: np.ndarray
    loss: float
    gradient: np.ndarray


class LogisticProblem:
    """``min_{W, b} mean_i -log softmax(W^T x_i + b)_{y_i} + penalty / 2 ||W||^2``, the bias without a penalty.

    It is solved by Newton's method with conjugate gradients in float64, in the coordinates of `WhitenedRows`. So an
    affine map before it changes neither the steps nor their precision.

    The lower bound is that of the dual problem: for any ``q_i`` in the simplex with ``mean_i (q_i - y_i) = 0``, and
    ``G = mean_i x_i (q_i - y_i)^T``, no objective is below ``mean_i H(q_i) - ||G||^2 / (2 penalty)``, ``H`` the
    entropy. Without a penalty, ``G`` must be 0: then ``q`` is linearized one Newton step ahead. Such a ``q`` above 0
    also proves that an optimum exists.

    Args:
        whitened: The training rows.
        labels: Class ids ``(n,)`` from 0 to ``classes - 1``, each present.
        classes: Number of classes.
        invariant: Whether ``||W||^2`` becomes the variance of the logits over the rows, summed over classes. Then no
            invertible affine map of the rows changes a prediction, whatever the penalty.
    """

    def __init__(self, whitened: WhitenedRows, labels: np.ndarray, classes: int, *, invariant: bool = False) -> None:
        self._n = len(labels)
        self._t = np.concatenate([whitened.rows, np.ones((self._n, 1))], axis=1)
        lengths = 1 / whitened.variances
        self._per_penalty = np.append(np.ones_like(lengths) if invariant else lengths, 0.0)[:, None]
        self._labels, self._y = labels, np.eye(classes)[labels]

    def solve(
        self, penalty: float, *, start: LogisticFit | None = None, tolerance: float = TOLERANCE, most: int = 100
    ) -> LogisticFit:
        """Returns the fit with its certificate; callers look at the verdict.

        Args:
            penalty: At least 0.
            start: Where to start, such as the fit of a larger penalty.
            tolerance: Largest accepted gap.
            most: Newton steps.
        """
        zeros = np.zeros((self._t.shape[1], self._y.shape[1]))
        point = self._at(zeros if start is None else start.weights, penalty)
        for number in range(most + 1):
            if penalty == 0 and self._separates(point.weights):
                return _fit(point, SEPARABLE, 0.0, number)
            step, bound = self._step_and_bound(point, penalty)
            if step is not None and self._separates(step):
                return _fit(dataclasses.replace(point, weights=step), SEPARABLE, bound, number)
            if point.loss - bound <= max(tolerance * point.loss, ROUNDING):
                return _fit(self._polished(point, step, penalty, tolerance), CONVERGED, bound, number)
            moved = self._search(point, self._newton_step(point, penalty) if step is None else step, penalty)
            if moved is None:
                break
            point = moved
        return _fit(point, UNCONVERGED, bound, number)

    def _polished(self, point: _Point, step: np.ndarray | None, penalty: float, tolerance: float) -> _Point:
        """Returns the point one Newton step further if more than a loss is wanted: its error is then about squared."""
        if tolerance < TOLERANCE:
            step = self._newton_step(point, penalty) if step is None else step
            return self._search(point, step, penalty) or point
        return point

    def _step_and_bound(self, point: _Point, penalty: float) -> tuple[np.ndarray | None, float]:
        """Returns a lower bound of the objective, and the Newton step if the bound needed it."""
        if penalty > 0:
            return None, self._bound(point, penalty)
        step = self._newton_step(point, penalty)
        return step, self._bound_without_penalty(point, step)

    def _at(self, weights: np.ndarray, penalty: float, logits: np.ndarray | None = None) -> _Point:
        logits = self._t @ weights if logits is None else logits
        log_p = log_softmax(logits)
        p = np.exp(log_p)
        pull = penalty * self._per_penalty * weights
        loss = -log_p[np.arange(self._n), self._labels].mean() + (pull * weights).sum() / 2
        return _Point(weights, logits, p, float(loss), self._t.T @ (p - self._y) / self._n + pull)

    def _separates(self, weights: np.ndarray) -> bool:
        """Returns whether one class's logit, or all together, separate the training rows strictly."""
        logits = self._t @ weights
        own = np.where(self._y > 0, logits, np.inf).min(axis=0)
        others = np.where(self._y > 0, -np.inf, logits).max(axis=0)
        nearest = np.where(self._y > 0, -np.inf, logits).max(axis=1)
        return bool((own > others).any() or (logits[np.arange(self._n), self._labels] > nearest).all())

    def _newton_step(self, point: _Point, penalty: float) -> np.ndarray:
        def hessian(step: np.ndarray) -> np.ndarray:
            return self._t.T @ (_along(point.p, self._t @ step) / self._n) + penalty * self._per_penalty * step

        exact = penalty == 0 and self._t.shape[1] * (self._y.shape[1] - 1) <= LARGEST
        if exact:
            return conjugate_gradients(hessian, -point.gradient, self._inverse(point), accuracy=1e-10)[0]
        accuracy = min(0.1, float(np.sqrt((point.gradient**2).sum())))
        scales = (point.p * (1 - point.p)).mean(axis=0) + penalty * self._per_penalty + 1e-12
        step, reached = conjugate_gradients(
            hessian, -point.gradient, lambda left: _centred(left / scales), accuracy=accuracy, most=QUICK
        )
        if reached:
            return step
        ease = self._approximate_inverse(point, penalty)
        return conjugate_gradients(hessian, -point.gradient, ease, accuracy=accuracy)[0]

    def _inverse(self, point: _Point) -> Map:
        """Returns the inverse of the Hessian without a penalty, as a map."""
        size, classes = self._t.shape[1], self._y.shape[1] - 1
        matrix = np.empty((classes, size, classes, size))
        for k in range(classes):
            for other in range(k, classes):
                weights = point.p[:, k] * ((k == other) - point.p[:, other]) / self._n
                matrix[k, :, other] = (self._t * weights[:, None]).T @ self._t
                matrix[other, :, k] = matrix[k, :, other].T
        square = torch.from_numpy(matrix.reshape(classes * size, classes * size))
        square.diagonal().add_(1e-14 * square.diagonal().mean())
        factor = torch.linalg.cholesky_ex(square).L

        def ease(left: np.ndarray) -> np.ndarray:
            target = torch.from_numpy(left[:, :-1].T.reshape(-1, 1).copy())
            solved = torch.cholesky_solve(target, factor).numpy().reshape(classes, size).T
            return _centred(np.concatenate([solved, np.zeros((size, 1))], axis=1))

        return ease

    def _approximate_inverse(self, point: _Point, penalty: float) -> Map:
        """Returns an approximate inverse of the Hessian, as a map.

        For each class it takes the rows to be as uncertain as they are on average over classes: exact for two.
        """
        curvature = point.p * (1 - point.p) / self._n
        together = curvature.sum(axis=1)
        gram = (self._t * together[:, None]).T @ self._t
        ridge = penalty * self._per_penalty[:, 0] + 1e-10 * np.trace(gram) / len(gram)
        shares = curvature.sum(axis=0) / together.sum()
        inverses = [np.linalg.inv(share * gram + np.diag(ridge)) for share in shares]

        def ease(left: np.ndarray) -> np.ndarray:
            eased = np.stack([inverse @ column for inverse, column in zip(inverses, left.T, strict=True)], axis=1)
            return _centred(eased)

        return ease

    def _search(self, point: _Point, step: np.ndarray, penalty: float) -> _Point | None:
        """Returns the point at the first of 1, 1/2, 1/4, ... steps that lowers the loss enough; None if none does."""
        slope, change, length = float((point.gradient * step).sum()), self._t @ step, 1.0
        for _ in range(40):
            moved = self._at(point.weights + length * step, penalty, point.logits + length * change)
            if moved.loss <= point.loss + 1e-4 * length * slope + 1e-15:
                return moved
            length /= 2
        return None

    def _bound(self, point: _Point, penalty: float) -> float:
        q = _with_means(point.p, self._y.mean(axis=0))
        pull = self._t[:, :-1].T @ (q - self._y) / self._n
        return _entropy(q) - float((pull**2 / self._per_penalty[:-1]).sum() / (2 * penalty))

    def _bound_without_penalty(self, point: _Point, step: np.ndarray) -> float:
        q = point.p + _along(point.p, self._t @ step)
        if (q < 0).any():
            return 0.0  # which no loss is below
        left = self._t.T @ (q - self._y) / self._n  # rounding, and what conjugate gradients have left
        return _entropy(q) - float(np.sqrt((left**2).sum() * (point.weights**2).sum()))


def _fit(point: _Point, verdict: str, bound: float, number: int) -> LogisticFit:
    norm = float(np.sqrt((point.gradient**2).sum()))
    return LogisticFit(point.weights, Certificate(verdict, point.loss, bound, norm, number))


def _centred(weights: np.ndarray) -> np.ndarray:
    """Returns weights minus their mean over classes, which has no effect on probabilities."""
    return weights - weights.mean(axis=1, keepdims=True)


def _along(p: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Returns the derivative of the softmax ``p`` along a change of the logits."""
    return p * (change - (p * change).sum(axis=1, keepdims=True))


def _with_means(q: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Returns ``q`` mixed with as little as possible of one distribution such that its means are ``means``."""
    excess = q.mean(axis=0) - means
    share = float(np.max(excess / (means + np.maximum(excess, 0.0)), initial=0.0))
    return q if share <= 0 else (1 - share) * q + (means - (1 - share) * q.mean(axis=0))


def _entropy(q: np.ndarray) -> float:
    """Returns the mean entropy of distributions, in nats."""
    return float(-(q * np.log(np.where(q > 0, q, 1.0))).sum(axis=1).mean())
