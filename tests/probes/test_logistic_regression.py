"""Certified logistic regression against scikit-learn, brute force and theory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.linear_model import LogisticRegression

from clsnorm.probes.logistic_regression import (
    CONVERGED,
    SEPARABLE,
    UNCONVERGED,
    Certificate,
    LogisticFit,
    LogisticProblem,
    log_softmax,
)
from clsnorm.probes.whitened_rows import WhitenedRows


def rows(*, n: int = 300, d: int = 8, classes: int = 3, signal: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    labels = np.arange(n) % classes
    scales = np.geomspace(1e-2, 1e2, d)
    x = (draw.normal(size=(n, d)) + signal * draw.normal(size=(classes, d))[labels]) * scales + 5 * scales
    return x, labels


def solved(x: np.ndarray, labels: np.ndarray, penalty: float, **options: float) -> tuple[LogisticFit, WhitenedRows]:
    whitened = WhitenedRows.of(x)
    return LogisticProblem(whitened, labels, int(labels.max()) + 1).solve(penalty, **options), whitened


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("penalty", [1.0, 1e-3])
def test_probabilities_are_those_of_scikit_learn(classes: int, penalty: float) -> None:
    x, labels = rows(classes=classes)
    fit, whitened = solved(x, labels, penalty, tolerance=1e-12)
    peer = LogisticRegression(C=1 / (len(x) * penalty), solver="newton-cg", tol=1e-10, max_iter=10_000)
    if classes == 2:  # of two classes scikit-learn has one weight vector, the difference of ours: half the penalty
        peer.set_params(C=2 / (len(x) * penalty))
    peer.fit(x, labels)
    expected = peer.predict_log_proba(x)
    np.testing.assert_allclose(fit.log_probabilities(whitened.take(x)), expected, atol=2e-5)
    assert fit.certificate.verdict == CONVERGED


@pytest.mark.parametrize("penalty", [1.0, 1e-2, 1e-4])
def test_the_bound_is_below_the_optimum_and_the_gap_holds(penalty: float) -> None:
    x, labels = rows(signal=0.5)
    exact, _ = solved(x, labels, penalty, tolerance=1e-13)
    for most in range(6):
        fit, _ = solved(x, labels, penalty, tolerance=0.0, most=most)
        assert fit.certificate.bound <= exact.certificate.loss + 1e-14
        assert fit.certificate.loss >= exact.certificate.loss - 1e-14
    assert exact.certificate.gap <= 1e-13


def test_the_loss_is_the_objective_at_the_weights() -> None:
    x, labels = rows()
    fit, whitened = solved(x, labels, 0.1)
    weights = whitened.from_rows @ fit.weights[:-1]
    bias = fit.weights[-1] - whitened.location @ weights
    log_p = log_softmax(x @ weights + bias)
    objective = -log_p[np.arange(len(x)), labels].mean() + 0.1 / 2 * (weights**2).sum()
    assert fit.certificate.loss == pytest.approx(objective, rel=1e-10)
    assert fit.certificate.gradient < 1e-3


def test_without_a_penalty_the_bound_holds_and_the_gradient_vanishes() -> None:
    x, labels = rows(signal=0.5)
    fit, _ = solved(x, labels, 0.0, tolerance=1e-12)
    assert fit.certificate.verdict == CONVERGED
    assert fit.certificate.gradient < 1e-9
    small, _ = solved(x, labels, 1e-9, tolerance=1e-10)
    assert fit.certificate.loss <= small.certificate.loss + 1e-12
    early, _ = solved(x, labels, 0.0, tolerance=0.0, most=3)
    assert early.certificate.bound <= fit.certificate.loss


def has_separating_direction(x: np.ndarray, labels: np.ndarray, classes: int) -> bool:
    """By linear programming: has a direction no negative margin, and a positive sum (Albert & Anderson 1984)?"""
    ones = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    margins = []
    for row, label in zip(ones, labels, strict=True):
        for other in range(classes):
            if other != label:
                direction = np.zeros((classes, ones.shape[1]))
                direction[label], direction[other] = row, -row
                margins.append(direction.ravel())
    matrix = np.array(margins)
    found = linprog(-matrix.sum(axis=0), A_ub=-matrix, b_ub=np.zeros(len(matrix)), bounds=(-1, 1))
    return bool(-found.fun > 1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_proof_of_separation_or_of_an_optimum_agrees_with_linear_programming(seed: int) -> None:
    draw = np.random.default_rng(seed)
    x, labels = draw.normal(size=(24, 4)), np.arange(24) % 3
    x[labels == 0, 0] += 1.5 * seed
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    fit, _ = solved(x, labels, 0.0)
    assert fit.certificate.verdict in (CONVERGED, SEPARABLE)
    assert (fit.certificate.verdict == SEPARABLE) == has_separating_direction(x, labels, 3)


def test_separable_rows_have_no_optimum_without_a_penalty_but_one_with_it() -> None:
    x, labels = rows(n=12, d=20)
    assert solved(x, labels, 0.0)[0].certificate.verdict == SEPARABLE
    assert solved(x, labels, 1e-6)[0].certificate.verdict == CONVERGED


def test_a_fit_that_was_cut_short_says_so() -> None:
    x, labels = rows()
    fit, _ = solved(x, labels, 1e-4, most=0)
    assert fit.certificate.verdict == UNCONVERGED
    assert fit.certificate.gap > 1e-6


def test_the_gap_of_a_loss_of_zero_is_zero() -> None:
    assert Certificate(CONVERGED, 0.0, 0.0, 0.0, 0).gap == 0


def test_a_start_changes_the_steps_and_not_the_result() -> None:
    x, labels = rows()
    first, whitened = solved(x, labels, 1e-2, tolerance=1e-12)
    problem = LogisticProblem(whitened, labels, 3)
    other = problem.solve(1e-2, start=problem.solve(1.0), tolerance=1e-12)
    again = problem.solve(1e-2, start=first, tolerance=1e-12)
    np.testing.assert_allclose(other.weights, first.weights, atol=1e-8)
    assert again.certificate.iterations == 0


@pytest.mark.parametrize("seed", range(3))
def test_without_a_penalty_no_invertible_affine_map_changes_a_prediction(seed: int) -> None:
    x, labels = rows(signal=0.5)
    draw = np.random.default_rng(seed)
    moved = x @ (draw.normal(size=(8, 8)) * np.geomspace(1e-3, 1e3, 8)) + draw.normal(size=8)
    first, white = solved(x, labels, 0.0, tolerance=1e-12)
    second, other = solved(moved, labels, 0.0, tolerance=1e-12)
    assert np.abs(first.log_probabilities(white.rows) - second.log_probabilities(other.rows)).max() < 1e-6


def test_with_a_penalty_an_affine_map_does_change_predictions_unless_it_only_turns_shifts_and_scales() -> None:
    x, labels = rows()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    first, white = solved(x, labels, 0.1, tolerance=1e-12)
    same, other = solved(3 * x @ turn + 1, labels, 0.1 * 9, tolerance=1e-12)
    np.testing.assert_allclose(first.log_probabilities(white.rows), same.log_probabilities(other.rows), atol=1e-6)
    changed, third = solved(x / x.std(axis=0), labels, 0.1, tolerance=1e-12)
    assert np.abs(first.log_probabilities(white.rows) - changed.log_probabilities(third.rows)).max() > 0.1


@pytest.mark.parametrize("penalty", [1.0, 1e-3])
@pytest.mark.parametrize("n", [12, 300])
def test_a_penalty_on_the_variance_of_logits_is_invariant_also_where_rows_are_separable(n: int, penalty: float) -> None:
    x, labels = rows(n=n, d=8)
    moved = x @ (np.random.default_rng(0).normal(size=(8, 8)) * np.geomspace(1e-3, 1e3, 8)) - 2
    found = []
    for features in (x, moved):
        white = WhitenedRows.of(features)
        fit = LogisticProblem(white, labels, 3, invariant=True).solve(penalty, tolerance=1e-13)
        assert fit.certificate.verdict == CONVERGED
        found.append(fit.log_probabilities(white.rows))
        logits = fit.logits(white.rows)
        likelihood = -found[-1][np.arange(n), labels].mean()
        assert fit.certificate.loss == pytest.approx(likelihood + penalty / 2 * logits.var(axis=0).sum())
    assert np.abs(found[0] - found[1]).max() < 1e-6
