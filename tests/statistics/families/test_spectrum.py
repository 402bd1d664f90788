"""Numbers of the eigenvalues against numpy, scipy and scikit-learn, or their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rows import C, D, assert_references, embeddings, filled
from scipy import stats
from sklearn.decomposition import PCA

from clsnorm.statistics import describe, find


def isoscore_as_published(values: np.ndarray) -> float:
    """Steps 3 to 7 of the IsoScore paper, on the principal components' variances."""
    d = len(values)
    normalized = math.sqrt(d) * values / np.linalg.norm(values)
    defect = np.linalg.norm(normalized - 1) / math.sqrt(2 * (d - math.sqrt(d)))
    phi = (d - defect**2 * (d - math.sqrt(d))) ** 2 / d**2
    return (d * phi - 1) / (d - 1)


def test_each_number_equals_that_of_a_reference() -> None:
    rows, _ = embeddings()
    values = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    singular = np.linalg.svd(rows, compute_uv=False)
    explained = PCA().fit(rows).explained_variance_ratio_
    offsets = rows - rows.mean(0)
    expected = {
        "participation_ratio": values.sum() ** 2 / (values**2).sum(),
        "isoscore": isoscore_as_published(values),
        "effective_rank": math.exp(stats.entropy(values / values.sum())),
        "rankme": math.exp(stats.entropy(singular / singular.sum())),
        "stable_rank": np.linalg.norm(offsets) ** 2 / np.linalg.norm(offsets, 2) ** 2,
        "condition": np.linalg.cond(offsets) ** 2,
        "condition_uncentred": np.linalg.cond(rows) ** 2,
    }
    expected |= {f"explained_{k}": explained[:k].sum() for k in (1, 2, 3, 5, 10)}
    assert_references("spectrum", expected, elsewhere={"participation_ratio_corrected", "isoscore_star", "slope"})


def test_isoscore_star_and_slope_by_definition() -> None:
    rows, labels = embeddings()
    found = describe(filled(rows, labels))
    covariance = np.cov(rows.T, bias=True)
    shrunk = 0.8 * covariance + 0.2 * np.trace(covariance) / D * np.eye(D)
    assert found["spectrum/isoscore_star"].value == pytest.approx(isoscore_as_published(np.linalg.eigvalsh(shrunk)))
    power = np.diag(np.sqrt(np.arange(1, 41.0) ** -1.7))
    exact = np.concatenate([power, -power]) * math.sqrt(40)
    spectrum = describe(filled(exact, np.arange(80) % C))["spectrum/slope"].value
    assert spectrum == pytest.approx(1.7, rel=1e-6)


def test_corrected_participation_ratio_has_less_bias_for_normal_rows() -> None:
    truth = np.linspace(0.5, 2, 30)
    expected = truth.sum() ** 2 / (truth**2).sum()
    draws = [np.random.default_rng(seed).standard_normal((25, 30)) * np.sqrt(truth) for seed in range(200)]
    found = [describe(filled(draw, np.arange(25) % C)) for draw in draws]
    corrected = np.median([f["spectrum/participation_ratio_corrected"].value for f in found])
    plain = np.median([f["spectrum/participation_ratio"].value for f in found])
    assert abs(corrected - expected) < 0.1 * expected < abs(plain - expected)


def test_corrected_participation_ratio_is_too_small_for_heavy_tails() -> None:
    """Of 60 equal directions: rows are scaled at random, so that they are elliptical but not normal."""
    medians = {}
    for freedom in (3, 1000):
        draws = [np.random.default_rng(seed) for seed in range(30)]
        rows = [d.standard_normal((300, 60)) / np.sqrt(d.chisquare(freedom, (300, 1)) / freedom) for d in draws]
        found = [describe(filled(x, np.arange(300) % C))["spectrum/participation_ratio_corrected"].value for x in rows]
        medians[freedom] = np.median(found)
    assert medians[3] < 45 < 57 < medians[1000] < 63


def test_the_former_name_of_the_corrected_participation_ratio_is_found() -> None:
    former = find("spectrum/participation_ratio_unbiased", argument="numbers")
    assert former is find("spectrum/participation_ratio_corrected", argument="numbers")
