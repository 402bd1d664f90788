"""The same numbers as the packages that others use; skipped where one is not installed (`pip install -e '.[test]'`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clsnorm.statistics import Snapshot, describe, linear_cka
from clsnorm.statistics.families.spectrum import isoscore_star

N, D, C = 400, 16, 3


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    draw = np.random.default_rng(0)
    mixing = draw.standard_normal((D, D)) / 6 + np.diag(np.linspace(0.1, 2, D))
    return draw.standard_t(7, (N, D)) @ mixing + draw.standard_normal(D)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, C, N)


@pytest.fixture(scope="module")
def snapshot(rows: np.ndarray, labels: np.ndarray) -> Snapshot:
    snapshot = Snapshot(D, num_classes=C)
    snapshot.update(torch.from_numpy(rows), torch.from_numpy(labels), torch.arange(N))
    return snapshot


@pytest.mark.filterwarnings("ignore:To copy construct")
def test_isoscore(snapshot: Snapshot, rows: np.ndarray) -> None:
    package = pytest.importorskip("IsoScore.IsoScore")
    found = describe(snapshot)["spectrum/isoscore"].value
    assert found == pytest.approx(float(package.IsoScore(torch.from_numpy(rows))), rel=1e-5)  # float32 there


@pytest.mark.filterwarnings("ignore:To copy construct")
def test_isoscore_star_given_the_same_shrinkage_target(snapshot: Snapshot, rows: np.ndarray) -> None:
    package = pytest.importorskip("IsoScore.IsoScore")
    covariance = np.cov(rows.T)
    target = torch.eye(D, dtype=torch.float64) * np.trace(covariance) / D
    published = float(package.istar().IsoScore_star(torch.from_numpy(rows), target, 0.2))
    assert isoscore_star(snapshot.eigenvalues, zeta=0.2) == pytest.approx(published, rel=1e-5)
    identity = float(package.istar().IsoScore_star(torch.from_numpy(rows), torch.eye(D, dtype=torch.float64), 0.2))
    assert identity != pytest.approx(published, rel=1e-2)  # the identity is not the target here


def test_twonn(snapshot: Snapshot, rows: np.ndarray) -> None:
    package = pytest.importorskip("skdim")
    expected = float(package.id.TwoNN().fit(rows).dimension_)
    assert describe(snapshot)["sample/twonn"].value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("unbiased", [False, True])
def test_cka(rows: np.ndarray, unbiased: bool) -> None:
    core = pytest.importorskip("ckatorch.core")
    x = torch.from_numpy(rows)
    y = x @ torch.randn(D, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = float(core.cka_base(x, y, kernel="linear", unbiased=unbiased))
    assert linear_cka(x, y, unbiased=unbiased) == pytest.approx(expected, rel=1e-9)


def test_calinski_harabasz(snapshot: Snapshot, rows: np.ndarray, labels: np.ndarray) -> None:
    from torchmetrics.functional.clustering import calinski_harabasz_score

    expected = float(calinski_harabasz_score(torch.from_numpy(rows), torch.from_numpy(labels)))
    found = describe(snapshot)["classes/calinski_harabasz"].value
    assert found == pytest.approx(expected, rel=1e-6)  # float32 there
