"""Numbers of classes against scikit-learn, scipy or the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rows import C, D, N, assert_references, embeddings, filled
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.metrics import calinski_harabasz_score
from sklearn.metrics.pairwise import cosine_similarity

from clsnorm.statistics import Snapshot, describe, find


def by_classes(rows: np.ndarray, labels: np.ndarray, mean: np.ndarray, components: np.ndarray) -> dict[str, float]:
    means = np.stack([rows[labels == c].mean(0) for c in range(C)])
    counts = np.bincount(labels, minlength=C)
    between = sum(k / N * np.outer(m - mean, m - mean) for k, m in zip(counts, means, strict=True))
    within = sum(k / N * np.cov(rows[labels == c].T, bias=True) for c, k in enumerate(counts))
    offsets = means - means.mean(0)
    lengths = np.linalg.norm(offsets, axis=1)
    cosines = cosine_similarity(offsets)[np.triu_indices(C, 1)]
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [((u - v) ** 2).sum() for c in range(C) for u in units[labels == c] for v in units[labels == c]]
    same = sum(k * (k - 1) for k in counts)
    dim = rows.shape[1]
    shrunk = 0.99 * within + 0.01 * np.trace(within) / dim * np.eye(dim)
    return {
        "calinski_harabasz": calinski_harabasz_score(rows, labels),
        "fisher_ratio": np.trace(between) / np.trace(within),
        "separability": np.trace(np.linalg.inv(shrunk) @ between),
        "nc1": np.trace(within @ np.linalg.pinv(offsets.T @ offsets / C)) / C,
        "nc2_norms": stats.variation(lengths),
        "nc2_angles": np.abs(cosines + 1 / (C - 1)).mean(),
        "along_mean": mean @ between @ mean / (mean @ mean) / np.trace(between),
        "along_first_component": components[0] @ between @ components[0] / np.trace(between),
        "along_3_components": np.trace(components @ between @ components.T) / np.trace(between),
        "along_outliers": np.diag(between)[np.abs(stats.zscore(mean)) > 3].sum() / np.trace(between),
        "alignment": sum(pairs) / same,
    }


def test_each_number_equals_that_of_a_reference() -> None:
    rows, labels = embeddings()
    assert_references("classes", by_classes(rows, labels, rows.mean(0), PCA(3).fit(rows).components_))


def test_share_of_the_class_means_along_outlier_dimensions() -> None:
    rows, labels = embeddings(d=30)
    rows[:, 7] += 60
    assert np.flatnonzero(np.abs(stats.zscore(rows.mean(0))) > 3).tolist() == [7]
    means = np.stack([rows[labels == c].mean(0) for c in range(C)]) - rows.mean(0)
    between = (np.bincount(labels)[:, None] * means**2).sum(0)
    found = describe(filled(rows, labels))["classes/along_outliers"]
    assert found.value == pytest.approx(between[7] / between.sum(), rel=1e-9)
    assert found.null == pytest.approx(rows.var(0)[7] / rows.var(0).sum(), rel=1e-9)


def test_nulls_of_classes_are_averages_over_random_labels() -> None:
    """Rows that are neither centred nor isotropic; the null of a share is that of the averages of its parts."""
    rows, _ = embeddings(400, 24)
    rows[:, 3] = 4 * rows[:, 3] + 90
    draws = [describe(filled(rows, np.random.default_rng(seed).integers(0, C, len(rows)))) for seed in range(150)]
    for name in draws[0]:
        null = draws[0][name].null
        if not name.startswith("classes/") or null is None:
            continue
        found = np.array([values[name].value for values in draws])
        assert abs(found.mean() - null) <= 4 * stats.sem(found) + 0.03 * abs(null), name
    assert 0.1 < draws[0]["classes/along_outliers"].null < 0.9
    assert draws[0]["classes/alignment"].null < 1  # far from 2: the mean is in all of them


def test_a_class_without_rows_does_not_change_the_null() -> None:
    rows, labels = embeddings()
    found = describe(filled(rows, labels % 2))["classes/fisher_ratio"]  # of three classes
    assert found.null == pytest.approx(1 / (N - 2))


def test_two_classes_are_always_a_simplex() -> None:
    rows, labels = embeddings()
    found = describe(filled(rows, labels % 2), intervals=True)
    assert math.isnan(found["classes/nc2_norms"].value)
    assert math.isnan(found["classes/nc2_angles"].value)
    assert found["classes/nc2_norms"].low is found["classes/nc2_angles"].low is found["classes/nc2_angles"].null is None
    assert found["classes/nc1"].low < found["classes/nc1"].null < found["classes/nc1"].high
    assert found["classes/nc1"].value > 0


def test_regression_has_no_classes() -> None:
    rows, _ = embeddings()
    snapshot = Snapshot(D, num_classes=0)
    snapshot.update(torch.from_numpy(rows), torch.rand(N), torch.arange(N))
    assert not [name for name in describe(snapshot) if name.startswith("classes/")]


@pytest.mark.parametrize("count", [40, 61, 70, 150])
def test_null_of_separability_is_that_of_permutations_near_n_equal_to_d(count: int) -> None:
    draw = np.random.default_rng(count)
    rows = draw.standard_normal((count, 60)) * np.exp(0.5 * draw.standard_normal(60))
    s = filled(rows, draw.integers(0, C, count))
    separability = find("classes/separability", argument="numbers")
    assert separability.null(s) == pytest.approx(separability.spread(s).mean(), rel=0.08)
