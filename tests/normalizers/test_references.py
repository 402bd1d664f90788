"""Each normalizer against a reference: torch, scikit-learn, scipy, or numpy written from the formulas."""

import copy
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from sklearn.preprocessing import normalize as sklearn_normalize
from torch import Tensor, nn

from clsnorm.normalizers import BatchNorm, DynamicTanh, IsoBN, IsoBNCompat, L2Norm, LayerNorm, Normalizer, RMSNorm

Build = Callable[..., Normalizer]
Rows = Callable[..., Tensor]
Agree = Callable[..., None]


def gradients(module: nn.Module, h: Tensor, weights: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Returns the gradients of a weighted sum of the outputs, with respect to ``h`` and to the parameters."""
    h = h.clone().requires_grad_()
    grads = torch.autograd.grad((module(h) * weights).sum(), [h, *module.parameters()])
    return grads[0], list(grads[1:])


# Calibrated


def test_standardize_limits_the_gain_of_a_narrow_dimension(build: Build, rows: Rows) -> None:
    train = rows(200)
    train[:, 2] = 0.5 + 1e-2 * train[:, 2]  # not dead: over a thousandth of the median deviation
    normalizer = build("standardize", on=train, eps=0.5)
    largest = train.double().std(0, correction=0).max()
    assert float(normalizer.as_affine()[0][2]) == pytest.approx(1 / (0.5 * float(largest)), rel=1e-5)


def test_zca_whitens_and_floors(build: Build, rows: Rows) -> None:
    train = rows(300, dtype=torch.float64)
    covariance = torch.cov(build("zca_whitening", on=train)(train).T, correction=0)
    torch.testing.assert_close(covariance, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-5)
    few = rows(4, dtype=torch.float64)  # rank three: three eigenvalues are zero
    gains = torch.linalg.eigvalsh(build("zca_whitening", on=few, eps=1e-4).as_affine()[0].double())
    leading = torch.linalg.eigvalsh(torch.cov(few.T, correction=0))[-1]
    torch.testing.assert_close(gains[-3:], (1e-4 * leading).rsqrt().expand(3), rtol=1e-4, atol=0)
    assert float(gains[0]) == pytest.approx(float(leading) ** -0.5, rel=1e-4)


@pytest.mark.parametrize("name", ["center", "standardize", "zca_whitening"])
@pytest.mark.parametrize("value", [0.1, 1e3 / 7])
def test_rounding_noise_is_not_taken_for_a_signal(name: str, value: float, build: Build, rows: Rows) -> None:
    same = torch.full((7, 6), value, dtype=torch.float64) * (1 + 1e-15 * rows(7, dtype=torch.float64))
    normalizer, fresh = build(name, on=same), rows(50, seed=1)
    torch.testing.assert_close(normalizer(fresh), fresh - value, rtol=1e-5, atol=1e-4)


# Per sample


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_per_sample_equal_torch(rows: Rows, dtype: torch.dtype) -> None:
    h, weights = rows(20, dtype=dtype), torch.linspace(-1, 2, 6, dtype=dtype)
    for own, reference in [
        (LayerNorm(6, eps=1e-4), nn.LayerNorm(6, eps=1e-4)),
        (LayerNorm(6, affine=False), nn.LayerNorm(6, elementwise_affine=False)),
        (RMSNorm(6, eps=1e-4), nn.RMSNorm(6, eps=1e-4)),
        (RMSNorm(6, affine=False), nn.RMSNorm(6, eps=1e-6, elementwise_affine=False)),
    ]:
        own.to(dtype), reference.to(dtype)
        reference.load_state_dict(own.state_dict())
        torch.testing.assert_close(own(h), reference(h))
        torch.testing.assert_close(gradients(own, h, weights), gradients(reference, h, weights))


def test_l2norm_equals_torch_and_sklearn(rows: Rows) -> None:
    h = rows(20)
    torch.testing.assert_close(L2Norm(6)(h), F.normalize(h))
    np.testing.assert_allclose(L2Norm(6)(h), sklearn_normalize(h.numpy()), rtol=1e-5)
    torch.testing.assert_close(L2Norm(6, temperature=0.05)(h).norm(dim=1), torch.full((20,), 20.0))
    torch.testing.assert_close(L2Norm(6, temperature=6**-0.5)(h), RMSNorm(6, affine=False)(h), rtol=1e-5, atol=1e-5)


# Batch


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("dtype", "mean", "tolerance"),
    [(torch.float32, 0.0, 1e-5), (torch.float64, 0.0, 1e-10), (torch.float64, 1e5, 1e-6)],
)
def test_batchnorm_equals_torch(rows: Rows, affine: bool, dtype: torch.dtype, mean: float, tolerance: float) -> None:
    # The reference computes in float64: with two examples the gradient is a difference of nearly equal numbers.
    own, reference = BatchNorm(6, affine=affine).to(dtype), nn.BatchNorm1d(6, affine=affine).double()
    if affine:
        with torch.no_grad():
            own.weight.copy_(torch.linspace(0.5, 2, 6))
            own.bias.copy_(torch.linspace(-1, 1, 6))
    reference.load_state_dict(own.state_dict())
    close = partial(torch.testing.assert_close, check_dtype=False, rtol=tolerance, atol=tolerance)
    for step, size in enumerate((16, 2, 7)):
        h, weights = mean + rows(size, seed=step, dtype=dtype), rows(size, seed=90 + step, dtype=dtype)
        close(copy.deepcopy(own)(h), copy.deepcopy(reference)(h.double()))
        close(gradients(own, h, weights), gradients(reference, h.double(), weights.double()))
    close(dict(own.named_buffers()), dict(reference.named_buffers()))
    h = mean + rows(9, seed=8, dtype=dtype)
    close(own.eval()(h), reference.eval()(h.double()))
    close(gradients(own, h, h), gradients(reference, h.double(), h.double()))


@pytest.mark.parametrize("sync", [True, False])
def test_batchnorm_passes_gradcheck_in_training(rows: Rows, sync: bool) -> None:
    h = rows(4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(BatchNorm(6, sync=sync).double(), (h,))


# IsoBN


def isobn_scale(cov: np.ndarray, std: np.ndarray, eps: float = 1e-3, beta: float = 0.5) -> np.ndarray:
    """The released formulas, from running covariance and deviations to the scale."""
    correlation = np.clip(cov / np.outer(std, std), -1, 1)
    t = ((correlation**2).mean(1) * std + eps) ** -beta
    return t * np.sqrt(np.trace(cov) / ((np.diag(cov) * t**2).sum() + eps))


def test_reference_of_isobn_compat(build: Build, rows: Rows, dtype: torch.dtype, agree: Agree) -> None:
    normalizer, cov, std = build("isobn_compat", dtype=dtype), np.zeros((6, 6)), np.zeros(6)
    for step in range(30):
        h = rows(16, seed=step, dtype=dtype)
        x = h.double().numpy()
        cov += 0.05 * (np.cov(x.T, bias=True) - cov)
        std += 0.05 * (x.std(0) - std)
        agree(normalizer(h), isobn_scale(cov, std) * x)
    agree(normalizer.cov, cov)
    agree(normalizer.std, std)
    agree(normalizer.eval()(h), isobn_scale(cov, std) * x)


def test_isobn_compat_has_the_released_inflation() -> None:
    # Uncorrelated data, so every r_ij^2 should be near zero: in the first step the clip holds them near one.
    generator = torch.Generator().manual_seed(0)
    normalizer, dim = IsoBNCompat(768), 768
    shares = []
    for _ in range(14):
        normalizer(torch.randn(16, dim, generator=generator))
        correlation = (normalizer.cov / torch.outer(normalizer.std, normalizer.std)).clamp(-1, 1)
        shares.append(float((correlation**2).mean()))
    assert shares[0] == pytest.approx(0.90, abs=0.01)
    assert shares[4] == pytest.approx(0.25, abs=0.01)
    assert shares[13] == pytest.approx(0.021, abs=0.001)


def test_reference_of_isobn(build: Build, rows: Rows, dtype: torch.dtype, agree: Agree) -> None:
    normalizer, cov = build("isobn", dtype=dtype, warmup_steps=5), np.zeros((6, 6))
    for step in range(1, 30):
        h = rows(16, seed=step, dtype=dtype)
        x = h.double().numpy()
        cov += 0.05 * (np.cov(x.T, bias=True) - cov)
        corrected = cov / (1 - 0.95**step)
        expected = isobn_scale(corrected, np.sqrt(np.diag(corrected))) * x if step >= 5 else x
        agree(normalizer(h), expected)


def test_isobn_does_not_depend_on_the_step_where_nothing_changes(rows: Rows) -> None:
    h = rows(16)
    normalizer, compat = IsoBN(6, warmup_steps=0), IsoBNCompat(6)
    outputs = [normalizer(h) for _ in range(30)]
    for z in outputs:
        torch.testing.assert_close(z, outputs[-1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(compat(h), [compat(h) for _ in range(30)][-1], rtol=1e-2)


def test_isobn_preserves_the_total_variance_and_ignores_a_batch_of_one(rows: Rows) -> None:
    h = 30 * rows(64)
    normalizer = IsoBN(6, warmup_steps=1)
    z = normalizer(h)
    assert float(z.var(0).sum()) == pytest.approx(float(h.var(0).sum()), rel=1e-4)
    assert not torch.allclose(z, h, rtol=0.1)
    before = copy.deepcopy(normalizer.state_dict())
    torch.testing.assert_close(normalizer(h[:1]), z[:1])
    torch.testing.assert_close(normalizer.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("kind", [IsoBN, IsoBNCompat])
def test_isobn_is_the_identity_before_training(kind: type[Normalizer], rows: Rows) -> None:
    normalizer = kind(6).eval()
    assert torch.equal(normalizer(rows(5)), rows(5))


def test_isobn_does_not_hide_nan(rows: Rows) -> None:
    for normalizer in (IsoBN(6, warmup_steps=0), IsoBNCompat(6)):
        normalizer(rows(8) * float("nan"))
        assert normalizer(rows(8)).isnan().all()


# The closed forms of the backward pass: gradient g at the output to gradient at the input.


def per_example_projection(z: Tensor, g: Tensor) -> Tensor:
    return (z * g).sum(1, keepdim=True) * z


JACOBIANS: dict[str, tuple[Normalizer, Callable[[Tensor, Tensor], Tensor]]] = {
    "layernorm": (
        LayerNorm(6, eps=1e-12, affine=False),
        lambda h, g: (
            (g - g.mean(1, keepdim=True) - per_example_projection(F.layer_norm(h, (6,), eps=1e-12), g) / 6)
            / h.std(1, correction=0, keepdim=True)
        ),
    ),
    "rmsnorm": (
        RMSNorm(6, eps=1e-12, affine=False),
        lambda h, g: math.sqrt(6) / h.norm(dim=1, keepdim=True) * (g - per_example_projection(F.normalize(h), g)),
    ),
    "l2norm": (
        L2Norm(6, temperature=0.2),
        lambda h, g: 5 / h.norm(dim=1, keepdim=True) * (g - per_example_projection(F.normalize(h), g)),
    ),
    "dyt": (DynamicTanh(6, alpha=0.25), lambda h, g: 0.25 * (1 - torch.tanh(0.25 * h) ** 2) * g),
    "batchnorm": (
        BatchNorm(6, eps=1e-12, affine=False),
        lambda h, g: (
            (g - g.mean(0) - (x := (h - h.mean(0)) / h.std(0, correction=0)) * (x * g).mean(0)) / h.std(0, correction=0)
        ),
    ),
}


@pytest.mark.parametrize("name", JACOBIANS)
def test_backward_equals_its_closed_form(name: str, rows: Rows) -> None:
    normalizer, expected = JACOBIANS[name]
    h, g = rows(9, dtype=torch.float64), rows(9, seed=1, dtype=torch.float64)
    torch.testing.assert_close(gradients(normalizer.double(), h, g)[0], expected(h, g), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["identity", "center", "standardize", "zca_whitening", "isobn", "isobn_compat"])
def test_backward_of_a_linear_map_is_its_transpose(name: str, build: Build, rows: Rows) -> None:
    normalizer = build(name, on=rows(64, dtype=torch.float64)).double()
    for step in range(25):  # still in training: the scale of IsoBN moves with the batch but counts as a constant
        h, g = rows(9, seed=step, dtype=torch.float64), rows(9, seed=1, dtype=torch.float64)
        gradient, _ = gradients(normalizer, h, g)
    matrix = normalizer.as_affine()[0].double()
    torch.testing.assert_close(gradient, g * matrix if matrix.ndim == 1 else g @ matrix, rtol=1e-7, atol=1e-8)
