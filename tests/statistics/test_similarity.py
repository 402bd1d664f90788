"""Similarity and drift against their definitions by Gram matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import spatial

from clsnorm.errors import InputError
from clsnorm.statistics import cka_matrix, drift, linear_cka, procrustes, self_duality, subspace_overlap


def pair(n: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 7, generator=draw, dtype=torch.float64) + 1
    return x, x @ torch.randn(7, 5, generator=draw, dtype=torch.float64) + torch.randn(n, 5, generator=draw) * 0.5


def test_cka_equals_that_of_centred_gram_matrices() -> None:
    x, y = pair()
    centring = np.eye(60) - 1 / 60
    k, m = (centring @ (z @ z.T).numpy() @ centring for z in (x, y))
    assert linear_cka(x, y) == pytest.approx((k * m).sum() / math.sqrt((k * k).sum() * (m * m).sum()), rel=1e-10)
    assert linear_cka(x, x) == pytest.approx(1.0)


def test_cka_ignores_rotation_scale_and_shift() -> None:
    x, y = pair()
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).Q
    assert linear_cka(x, 3 * y @ rotation + 2) == pytest.approx(linear_cka(x, y), rel=1e-10)


def test_a_matrix_holds_the_cka_of_each_pair() -> None:
    x, y = pair()
    still = torch.ones(60, 3)
    for unbiased in (False, True):
        found = cka_matrix([x, y, still], unbiased=unbiased)
        assert float(found[0, 1]) == float(found[1, 0]) == linear_cka(x, y, unbiased=unbiased)
        assert found.diagonal()[:2].tolist() == pytest.approx([1, 1])
        assert found[2].isnan().all()


def test_procrustes_is_scipy_s_disparity() -> None:
    x, y = pair()
    y = torch.cat([y, y[:, :2].square()], dim=1)
    assert procrustes(x, y) == pytest.approx(spatial.procrustes(x.numpy(), y.numpy())[2], rel=1e-9)
    rotation = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).Q
    assert procrustes(x, 3 * x @ rotation + 2) == pytest.approx(0, abs=1e-12)
    assert math.isnan(procrustes(x, torch.ones(60, 7)))


def test_a_head_along_the_class_means_is_dual_to_them() -> None:
    draw = torch.Generator().manual_seed(0)
    means, other = (torch.randn(4, 3000, generator=draw, dtype=torch.float64) for _ in range(2))
    assert self_duality(means, 5 * (means - 3)) == pytest.approx(0, abs=1e-12)  # shifts all logits equally
    assert self_duality(means, -means) == pytest.approx(2)
    assert self_duality(means, other) == pytest.approx(math.sqrt(2), abs=0.05)
    assert math.isnan(self_duality(torch.full((4, 9), 0.1, dtype=torch.float64), other[:, :9]))


def test_unbiased_cka_is_zero_on_average_for_unrelated_sets() -> None:
    found = []
    for seed in range(200):
        draw = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(12, 20, generator=draw, dtype=torch.float64) for _ in range(2))
        found.append((linear_cka(x, y), linear_cka(x, y, unbiased=True)))
    biased, unbiased = np.mean(found, axis=0)
    assert biased > 0.5
    assert abs(unbiased) < 0.05


def test_unbiased_hsic_by_its_sum_over_quadruples() -> None:
    x, y = pair(7)
    k, m = ((z @ z.T).numpy() * (1 - np.eye(7)) for z in (x, y))

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        n = len(a)
        one = np.ones(n)
        middle = one @ a @ one * (one @ b @ one) / ((n - 1) * (n - 2))
        return float((np.trace(a @ b) + middle - 2 / (n - 2) * one @ a @ b @ one) / (n * (n - 3)))

    expected = hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))
    assert linear_cka(x, y, unbiased=True) == pytest.approx(expected, rel=1e-10)


def test_drift() -> None:
    start = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    now = torch.tensor([[3.0, 4.0], [2.0, 0.0]])
    found = drift(now, start)
    assert found["relative"] == pytest.approx(math.sqrt(8) / 2 / 2)
    assert found["cosine"] == pytest.approx(0.5)
    assert found["mean"] == pytest.approx(math.sqrt(2) / math.hypot(1.5, 3))


def test_overlap_of_subspaces() -> None:
    basis = torch.eye(6, dtype=torch.float64)
    assert subspace_overlap(basis[:, :3], basis[:, :3]) == pytest.approx(1.0)
    assert subspace_overlap(basis[:, :3], basis[:, 2:5]) == pytest.approx(1 / 3)


def test_sets_of_different_shapes_are_refused() -> None:
    x, y = pair()
    with pytest.raises(InputError, match="60 and 59"):
        linear_cka(x, y[1:])
    with pytest.raises(InputError, match="one shape"):
        drift(x, y)
    with pytest.raises(InputError, match="one shape"):
        procrustes(x, y)
