"""Statistics of moments, against their definitions in numpy."""

import math

import numpy as np
import pytest
import torch

from clsnorm.statistics import Moments, centred_share, isoscore, participation_ratio


def moments_of(h: np.ndarray) -> Moments:
    moments = Moments(h.shape[1])
    moments.update(torch.from_numpy(h))
    return moments


@pytest.fixture
def h() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(150, 8)) @ random.normal(size=(8, 8)) + 3 * random.normal(size=8)


def test_centred_share(h: np.ndarray) -> None:
    expected = (h.mean(0) ** 2).sum() / (h**2).sum(1).mean()
    assert centred_share(moments_of(h)) == pytest.approx(expected, rel=1e-12)
    assert centred_share(moments_of(h - h.mean(0))) == pytest.approx(0, abs=1e-12)
    assert centred_share(moments_of(np.ones((3, 2)))) == pytest.approx(1)


def test_participation_ratio_counts_directions(h: np.ndarray) -> None:
    eigenvalues = np.linalg.eigvalsh(np.cov(h.T, bias=True))
    assert participation_ratio(moments_of(h)) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
    assert participation_ratio(moments_of(1e-90 * h)) == pytest.approx(participation_ratio(moments_of(h)))
    assert participation_ratio(moments_of(np.vstack([np.eye(4), -np.eye(4)]))) == pytest.approx(4)
    assert participation_ratio(moments_of(np.outer(np.arange(5.0), np.ones(4)))) == pytest.approx(1)


def test_isoscore_equals_its_published_definition(h: np.ndarray) -> None:
    dim = h.shape[1]
    eigenvalues = np.linalg.eigvalsh(np.cov(h.T))
    normalized = math.sqrt(dim) * eigenvalues / np.linalg.norm(eigenvalues)
    defect = np.linalg.norm(normalized - 1) / math.sqrt(2 * (dim - math.sqrt(dim)))
    expected = ((dim - defect**2 * (dim - math.sqrt(dim))) ** 2 - dim) / (dim * (dim - 1))
    assert isoscore(moments_of(h)) == pytest.approx(expected, rel=1e-10)


def test_undefined_is_nan() -> None:
    zeros = moments_of(np.zeros((3, 4)))
    assert all(math.isnan(f(zeros)) for f in (centred_share, participation_ratio, isoscore))
    assert math.isnan(isoscore(moments_of(np.arange(3.0)[:, None])))
