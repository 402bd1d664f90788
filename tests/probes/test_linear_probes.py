"""Each probe against scikit-learn, and what changes it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.linear_model import Ridge as RidgeRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from clsnorm.probes.linear_probes import (
    InvariantLogistic,
    Logistic,
    NearestMean,
    Ridge,
    ShrunkDiscriminant,
    UnregularizedLogistic,
)
from clsnorm.probes.neighbour_probes import CosineNeighbours, Neighbours
from clsnorm.probes.probe import FittedProbe, Probe
from clsnorm.probes.train_rows import TrainRows

D = 6
ALL = [Logistic(), InvariantLogistic(), UnregularizedLogistic(), Ridge(), NearestMean(), ShrunkDiscriminant(),
       Neighbours(), CosineNeighbours()]  # fmt: skip


def rows(n: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = 0.7 * np.random.default_rng(9).normal(size=(classes, D))
    return (draw.normal(size=(n, D)) + centres[labels]) * np.geomspace(0.3, 3, D) + 1, labels


X, Y = rows(300, 0)
NEW, TRUE = rows(200, 1)


def fitted(probe: Probe, value: float, x: np.ndarray = X, y: np.ndarray = Y, classes: int = 3) -> FittedProbe:
    return probe.fit(TrainRows(x, y, classes), value)


def unit() -> float:
    return float(X.var(axis=0).mean())


@pytest.mark.parametrize("value", Logistic.values)
def test_logistic(value: float) -> None:
    peer = LogisticRegression(C=1 / (len(X) * value * unit()), solver="newton-cg", tol=1e-10, max_iter=10_000).fit(X, Y)
    np.testing.assert_allclose(np.exp(fitted(Logistic(), value).scores(NEW)), peer.predict_proba(NEW), atol=2e-3)


@pytest.mark.parametrize("value", Ridge.values)
def test_ridge(value: float) -> None:
    peer = RidgeClassifier(alpha=len(X) * value * unit()).fit(X, Y)
    scores = fitted(Ridge(), value).scores(NEW)
    np.testing.assert_allclose(2 * scores - 1, peer.decision_function(NEW), atol=1e-6)
    assert (scores.argmax(axis=1) == peer.predict(NEW)).all()


def test_ridge_of_numbers() -> None:
    y = X @ np.arange(D) + np.random.default_rng(0).normal(size=len(X))
    peer = RidgeRegression(alpha=len(X) * 0.1 * unit()).fit(X, y)
    found = fitted(Ridge(), 0.1, y=y, classes=0)
    np.testing.assert_allclose(found.scores(NEW)[:, 0], peer.predict(NEW), atol=1e-6)
    np.testing.assert_allclose(Ridge().errors(found.scores(X), y), (peer.predict(X) - y) ** 2, atol=1e-5)


def test_nearest_mean() -> None:
    assert (fitted(NearestMean(), 0).scores(NEW).argmax(axis=1) == NearestCentroid().fit(X, Y).predict(NEW)).all()


@pytest.mark.parametrize("value", ShrunkDiscriminant.values)
def test_shrunk_discriminant(value: float) -> None:
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=value)
    uneven = np.r_[:200, 200:300:3]
    peer.fit(X[uneven], Y[uneven])
    scores = fitted(ShrunkDiscriminant(), value, X[uneven], Y[uneven]).scores(NEW)
    expected = peer.decision_function(NEW)
    np.testing.assert_allclose(scores - scores[:, :1], expected - expected[:, :1], atol=1e-8)


@pytest.mark.parametrize("value", Neighbours.values)
@pytest.mark.parametrize(("probe", "metric"), [(Neighbours(), "euclidean"), (CosineNeighbours(), "cosine")])
def test_neighbours(probe: Probe, metric: str, value: int) -> None:
    peer = KNeighborsClassifier(n_neighbors=value, metric=metric).fit(X, Y)
    found = fitted(probe, value).scores(NEW)
    np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), peer.predict_proba(NEW))
    assert (found.argmax(axis=1) == peer.predict(NEW)).all()


@pytest.mark.parametrize("probe", ALL, ids=lambda probe: probe.name)
def test_shift_rotation_and_one_scale_change_no_prediction_except_the_shift_for_cosines(probe: Probe) -> None:
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(D, D)))[0]
    shift = 0.0 if probe.name == "cosine_knn" else 7.0
    value = probe.values[len(probe.values) // 2]
    first = fitted(probe, value).scores(NEW)
    second = fitted(probe, value, 5 * X @ turn + shift).scores(5 * NEW @ turn + shift)
    assert (first.argmax(axis=1) == second.argmax(axis=1)).all()


@pytest.mark.parametrize("probe", ALL, ids=lambda probe: probe.name)
def test_other_affine_maps_change_predictions_exactly_where_the_probe_says_so(probe: Probe) -> None:
    matrix = np.random.default_rng(1).normal(size=(D, D)) * np.geomspace(0.05, 20, D)
    value = probe.values[len(probe.values) // 2]
    first = fitted(probe, value).scores(NEW)
    second = fitted(probe, value, X @ matrix).scores(NEW @ matrix)
    if probe.is_invariant():
        assert np.abs(first - second).max() < 1e-6
    else:
        assert (first.argmax(axis=1) != second.argmax(axis=1)).any()


def test_a_class_without_training_rows_is_never_predicted() -> None:
    for probe in ALL:
        scores = fitted(probe, probe.values[0], X[Y != 1], Y[Y != 1]).scores(NEW)
        assert scores.shape == (200, 3)
        assert (scores[:, 1] == -np.inf).all()
        assert set(scores.argmax(axis=1)) <= {0, 2}


def test_errors_are_log_losses_or_mistakes() -> None:
    scores, labels = np.log([[0.8, 0.2], [0.3, 0.7]]), np.array([0, 0])
    np.testing.assert_allclose(Logistic().errors(scores, labels), [-np.log(0.8), -np.log(0.3)])
    assert Ridge().errors(scores, labels).tolist() == [0, 1]
