"""The terms against their published formulas, and their gradients against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from clsnorm.errors import InputError
from clsnorm.regularizers import CosReg, IStar, Regularizer, VICReg
from clsnorm.regularizers.terms import isoscore_of

DIM = 6
BUILDS = {
    "istar_running": lambda: IStar(DIM, zeta=0.4).eval(),  # eval: the target stays
    "istar_identity": lambda: IStar(DIM, target="identity"),
    "istar_scaled": lambda: IStar(DIM, target="scaled_identity"),
    "cosreg": lambda: CosReg(DIM),
    "vicreg": lambda: VICReg(DIM),
    "vicreg_hinge": lambda: VICReg(DIM, variance=25.0, gamma=2.0),
}


def rows(count: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return scale * (torch.randn(count, DIM, generator=generator, dtype=torch.float64) @ mixing + 1)


def published(points: Tensor, target: Tensor, zeta: float) -> Tensor:
    """IsoScore* from singular values, in the steps of the paper: normalized, defect, rescaled."""
    d = points.shape[1]
    values = torch.linalg.svdvals((1 - zeta) * torch.cov(points.T) + zeta * target)
    normalized = values * math.sqrt(d) / values.norm()
    defect = (normalized - 1).norm() / math.sqrt(2 * (d - math.sqrt(d)))
    return ((d - defect**2 * (d - math.sqrt(d))) ** 2 - d) / (d * (d - 1))


@pytest.mark.parametrize("zeta", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("count", [4, 50])  # fewer rows than dimensions, and more
def test_istar_and_its_gradient_are_those_of_the_published_formula(zeta: float, count: int) -> None:
    ours, theirs = (rows(count).requires_grad_() for _ in range(2))
    term = IStar(DIM, target="identity", zeta=zeta)(ours)
    expected = 1 - published(theirs, torch.eye(DIM, dtype=torch.float64), zeta)
    torch.testing.assert_close(term, expected, atol=1e-12, rtol=1e-12)
    term.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-11, rtol=1e-9)


def test_the_running_target_is_the_average_of_earlier_covariances() -> None:
    istar, (first, second) = IStar(DIM, zeta=0.5, momentum=0.25), (rows(20, seed) for seed in (1, 2))
    one, two = istar(first), istar(second)
    c1, c2 = torch.cov(first.T), torch.cov(second.T)
    torch.testing.assert_close(one, 1 - isoscore_of(c1), atol=1e-6, rtol=1e-6)  # its own average
    average = (0.75 * 0.25 * c1 + 0.25 * c2) / (1 - 0.75**2)
    torch.testing.assert_close(two, 1 - published(second, average, 0.5), atol=1e-6, rtol=1e-6)
    twin = IStar(DIM, zeta=0.5, momentum=0.25)
    twin.load_state_dict(istar.state_dict())
    third = rows(20, 3)
    assert torch.equal(twin(third), istar(third))


def test_isoscore_is_0_for_one_direction_and_1_for_all() -> None:
    assert float(isoscore_of(torch.diag(torch.tensor([3.0, 0, 0, 0])))) == 0
    assert float(isoscore_of(torch.eye(5) * 7)) == pytest.approx(1)


def test_cosreg_is_the_mean_cosine_of_pairs() -> None:
    x = rows(7)
    unit = (x / x.norm(dim=1, keepdim=True)).numpy()
    pairs = [unit[i] @ unit[j] for i in range(7) for j in range(7) if i != j]
    term = CosReg(DIM)(x)
    assert float(term) == pytest.approx(np.mean(pairs), rel=1e-12)
    released = (torch.from_numpy(unit @ unit.T).sum() - 7) / 7**2
    assert float(term) * 6 / 7 == pytest.approx(float(released), rel=1e-12)
    assert float(CosReg(DIM)(3 * x)) == pytest.approx(float(term))
    x[0] = 0
    assert CosReg(DIM)(x.requires_grad_()).isfinite()


def test_vicreg_is_the_published_code_s() -> None:
    x = rows(9, scale=0.3)
    centred = x - x.mean(0)
    covariance = (centred.T @ centred) / 8
    off = covariance.pow(2).sum() - covariance.diagonal().pow(2).sum()
    hinge = torch.relu(1.5 - torch.sqrt(x.var(dim=0) + 0.01)).mean()
    assert float(hinge) > 0
    torch.testing.assert_close(VICReg(DIM)(x), off / DIM, atol=1e-12, rtol=1e-12)
    both = VICReg(DIM, variance=25.0, gamma=1.5, eps=0.01)(x)
    torch.testing.assert_close(both, off / DIM + 25 * hinge, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", BUILDS)
def test_gradients_equal_finite_differences(name: str) -> None:
    assert torch.autograd.gradcheck(BUILDS[name](), (rows(8).requires_grad_(),))


@pytest.mark.parametrize("sign", [1, -1])
def test_descending_istar_raises_isotropy_for_a_positive_weight_and_lowers_it_for_a_negative_one(sign: int) -> None:
    x = rows(40).requires_grad_()
    istar = IStar(DIM, weight=sign, target="scaled_identity")
    before = float(isoscore_of(torch.cov(x.detach().T)))
    optimizer = torch.optim.SGD([x], lr=5.0)
    for _ in range(20):
        optimizer.zero_grad()
        (istar.weight * istar(x)).backward()
        optimizer.step()
    after = float(isoscore_of(torch.cov(x.detach().T)))
    assert (after - before) * sign > 0.01


@pytest.mark.parametrize("name", BUILDS)
def test_a_term_is_computed_in_float64_and_a_batch_of_one_is_refused(name: str) -> None:
    regularizer: Regularizer = BUILDS[name]()
    x = rows(8)
    assert float(regularizer(x.float())) == pytest.approx(float(regularizer(x)), rel=1e-5)
    with pytest.raises(InputError, match="at least 2 examples"):
        regularizer(rows(1))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (IStar, {"zeta": 1.5}, r"regularizer\.zeta` to be a number from 0 to 1"),
        (IStar, {"target": "eye"}, r"regularizer\.target"),
        (IStar, {"momentum": 0.0}, "momentum"),
        (VICReg, {"variance": -1.0}, r"regularizer\.variance"),
        (VICReg, {"gamma": 0.0}, r"regularizer\.gamma"),
        (VICReg, {"eps": 0.0}, r"regularizer\.eps"),
        (CosReg, {"weight": float("nan")}, r"regularizer\.weight` to be a finite number"),
        (CosReg, {"at": "layer3"}, r"regularizer\.at` to be h, z, layers or a layer such as layer03"),
    ],
)
def test_options_out_of_range_are_refused(kind: type[Regularizer], options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kind(DIM, **options)  # type: ignore[arg-type]
