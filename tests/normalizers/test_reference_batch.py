"""Normalizers with running statistics against torch, or numpy and scipy written from the formulas another way."""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag, fractional_matrix_power, solve_triangular
from torch import Tensor, nn

from clsnorm.normalizers import (
    BatchNorm,
    BatchRenorm,
    CholeskyBatchWhitening,
    DecorrelatedBatchNorm,
    GhostBatchNorm,
    IterNorm,
    Normalizer,
    ShuffledGroupWhitening,
    SwitchableWhitening,
)

Build = Callable[..., Normalizer]
Rows = Callable[..., Tensor]
Agree = Callable[..., None]
SIZES = (16, 7, 24, 2, 16)
EPS = 1e-3


@pytest.fixture
def batches(rows: Rows, dtype: torch.dtype) -> list[Tensor]:
    return [rows(size, seed=step, dtype=dtype) for step, size in enumerate(SIZES)]


def wide(h: Tensor) -> np.ndarray:
    return h.detach().double().numpy().copy()


def biased(x: np.ndarray) -> np.ndarray:
    return np.cov(x.T, bias=True)


class Average:
    """The weighted mean with weights ``rate (1 - rate)^age``, written out instead of updated."""

    def __init__(self, rate: float = 0.1) -> None:
        self.rate, self.seen = rate, []

    def add(self, value: np.ndarray) -> None:
        self.seen.append(value)

    def value(self) -> np.ndarray:
        weights = [self.rate * (1 - self.rate) ** age for age in reversed(range(len(self.seen)))]
        return np.average(self.seen, axis=0, weights=weights)


@pytest.mark.parametrize(("name", "affine"), [("batchnorm", True), ("batchnorm_noaffine", False)])
def test_batchnorm_equals_torch(name: str, affine: bool, build: Build, batches: list[Tensor], agree: Agree) -> None:
    own, reference = build(name, dtype=batches[0].dtype), nn.BatchNorm1d(6, affine=affine).double()
    for h in batches:
        agree(own(h), reference(h.double()))
    agree(own.eval()(batches[0]), reference.eval()(batches[0].double()))


def test_reference_of_ghostbn(build: Build, batches: list[Tensor], agree: Agree) -> None:
    """`GhostBatchNorm` against torch's `BatchNorm1d` on one virtual batch after the other."""
    own, reference = build("ghostbn", dtype=batches[0].dtype), nn.BatchNorm1d(6).double()
    for h in batches:
        parts = np.split(np.arange(len(h)), range(8, len(h) - 7, 8))  # eights; the last one has the rest
        agree(own(h), torch.cat([reference(h[part].double()) for part in parts]))
    for name in ("running_mean", "running_var"):
        agree(own.get_buffer(name), reference.get_buffer(name))
    agree(own.eval()(batches[0]), reference.eval()(batches[0].double()))


def test_reference_of_batchrenorm(build: Build, batches: list[Tensor], agree: Agree) -> None:
    """`BatchRenorm` against its formula in numpy."""
    own = build("batchrenorm", dtype=batches[0].dtype, warmup_steps=2, r_max=1.2, q_max=0.3)
    mean, variance, inside = Average(), Average(), np.array([False, False])
    for step, h in enumerate(batches):
        x = wide(h)
        batch_mean, deviation = x.mean(0), np.sqrt(x.var(0) + 1e-5)
        r, q = 1.0, 0.0
        if step >= 2:
            running = np.sqrt(variance.value() + 1e-5)
            r = np.clip(deviation / running, 1 / 1.2, 1.2)
            q = np.clip((batch_mean - mean.value()) / running, -0.3, 0.3)
            assert (r != deviation / running).any()
            inside |= [(r == deviation / running).any(), (np.abs(q) < 0.3).any()]
        upstream = np.random.default_rng(step).normal(size=h.shape)
        h = h.clone().requires_grad_()
        z = own(h)
        z.backward(torch.tensor(upstream, dtype=z.dtype))
        inner = (x - batch_mean) / deviation
        agree(z, inner * r + q)
        # That of batch normalization times r: r and q count as constants.
        agree(h.grad, r / deviation * (upstream - upstream.mean(0) - inner * (inner * upstream).mean(0)))
        mean.add(batch_mean)
        variance.add(x.var(0))
    assert inside.all()  # where r and q are cut off they are constants
    expected = (wide(batches[0]) - mean.value()) / np.sqrt(variance.value() + 1e-5)
    agree(own.eval()(batches[0]), expected)


def test_batchrenorm_lies_between_batchnorm_and_evaluation(build: Build, rows: Rows) -> None:
    h = rows(9, seed=3)
    free = build("batchrenorm", warmup_steps=0, r_max=1e9, q_max=1e9)
    for step in range(3):
        free(rows(16, seed=step))
    torch.testing.assert_close(copy.deepcopy(free)(h), free.eval()(h), rtol=1e-4, atol=1e-5)
    bound = build("batchrenorm", warmup_steps=0, r_max=1, q_max=0)
    bound(rows(16))
    torch.testing.assert_close(bound(h), nn.BatchNorm1d(6)(h), rtol=1e-4, atol=1e-5)


def test_reference_of_powernorm(build: Build, batches: list[Tensor], agree: Agree) -> None:
    own = build("powernorm", dtype=batches[0].dtype, warmup_steps=2)
    with torch.no_grad():
        own.weight.copy_(torch.linspace(0.5, 2, 6))
    weight, phi, nu = wide(own.weight), Average(), np.zeros(6)
    for step, h in enumerate(batches):
        x, upstream = wide(h), np.random.default_rng(step).normal(size=h.shape)
        quadratic = (x**2).mean(0)
        root = np.sqrt((quadratic if step < 2 else phi.value()) + 1e-5)
        phi.add(quadratic)
        h = h.clone().requires_grad_()
        z = own(h)
        agree(z, x / root * weight)
        z.backward(torch.tensor(upstream, dtype=z.dtype))
        inner = upstream * weight - 0.1 * nu * (x / root)
        agree(h.grad, inner / root)
        nu = nu + (inner * x / root).mean(0)
        agree(own.nu, nu)
    agree(own.eval()(batches[0]), wide(batches[0]) / np.sqrt(phi.value() + 1e-5) * weight)


def test_powernorm_under_a_gradient_scaler(build: Build, rows: Rows) -> None:
    plain, scaled = build("powernorm"), build("powernorm")
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(30):
        gradients = []
        for normalizer, lift in ((plain, lambda loss: loss), (scaled, scaler.scale)):
            h = rows(16, seed=step).requires_grad_()
            loss = lift((normalizer(h) ** 3).mean())
            normalizer.take_loss_scale(scaler._get_scale_async() if normalizer is scaled else torch.ones(()))
            loss.backward()
            gradients.append(h.grad)
        torch.testing.assert_close(gradients[1] / scaler.get_scale(), gradients[0])
        torch.testing.assert_close(scaled.nu, plain.nu)
        scaler.update(2.0 ** (10 + step % 3))
    assert float(plain.nu.abs().max()) > 0.1


@pytest.mark.parametrize("wrong", [float("inf"), float("nan")])
def test_an_overflow_does_not_change_powernorm(build: Build, rows: Rows, wrong: float) -> None:
    normalizer = build("powernorm")
    for factor in (1.0, wrong, 1.0):
        h = rows(16).requires_grad_()
        before = normalizer.nu.clone()
        (factor * normalizer(h)).sum().backward()
        assert torch.equal(normalizer.nu, before) == (factor != 1)
    assert h.grad.isfinite().all()


@pytest.mark.parametrize("name", ["powernorm", "dbn"])
def test_an_undefined_second_derivative_is_refused(name: str, build: Build, rows: Rows) -> None:
    h = rows(16).requires_grad_()
    (gradient,) = torch.autograd.grad((build(name)(h) ** 3).sum(), h, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_padding_of_blocks_does_not_count(build: Build, rows: Rows) -> None:
    h = rows(16, dim=5)
    own = build("switchable_whiten", 5, group_size=3)  # the last block holds two
    alone = build("switchable_whiten", 2, group_size=2)
    with torch.no_grad():
        for normalizer in (own, alone):
            normalizer.mean_weights[0] = 60.0  # the batch's mean, but one's own variance
            normalizer.covariance_weights[2] = 60.0
    sizes = [((x - x.mean(1, keepdim=True)) ** 2).mean(1).sqrt() for x in (h, h[:, 3:])]
    expected = alone(h[:, 3:]) * (sizes[1] / sizes[0])[:, None]
    torch.testing.assert_close(own(h)[:, 3:], expected, rtol=5e-3, atol=1e-3)


# Whitening in blocks of two, the last of one: dimensions 0-1, 2-3, 4. The matrix of each block from its covariance.

Whitener = Callable[[np.ndarray], np.ndarray]


def zca(covariance: np.ndarray) -> np.ndarray:
    return np.real(fractional_matrix_power(covariance, -0.5))


def newton(covariance: np.ndarray) -> np.ndarray:
    """Newton's iteration on each eigenvalue alone: the matrices commute."""
    eigenvalues, axes = np.linalg.eigh(covariance)
    trace = eigenvalues.sum()
    result = np.ones_like(eigenvalues)
    for _ in range(5):
        result = (3 * result - result**3 * eigenvalues / trace) / 2
    return axes @ np.diag(result / np.sqrt(trace)) @ axes.T


def triangular(covariance: np.ndarray) -> np.ndarray:
    return solve_triangular(np.linalg.cholesky(covariance), np.eye(len(covariance)), lower=True)


def blocks(dim: int, order: np.ndarray) -> Iterator[np.ndarray]:
    yield from np.split(order, range(2, dim, 2))


def whitened(
    x: np.ndarray, mean: np.ndarray, covariance: np.ndarray, whitener: Whitener, order: np.ndarray, eps: float
) -> np.ndarray:
    z = np.empty_like(x)
    for block in blocks(5, order):
        matrix = whitener(np.atleast_2d(covariance[np.ix_(block, block)]) + eps * np.eye(len(block)))
        z[:, block] = (x - mean)[:, block] @ matrix.T
    return z


SHUFFLED = torch.randperm(5, generator=torch.Generator().manual_seed(0)).numpy()
WHITENERS: dict[str, tuple[Whitener, np.ndarray]] = {
    "dbn": (zca, np.arange(5)),
    "cholesky_bw": (triangular, np.arange(5)),
    "group_whiten_shuffled": (zca, SHUFFLED),
}


@pytest.mark.parametrize("name", WHITENERS)
def test_batch_whitening_equals_scipy(name: str, build: Build, rows: Rows, dtype: torch.dtype, agree: Agree) -> None:
    """`DecorrelatedBatchNorm`, `CholeskyBatchWhitening` and `ShuffledGroupWhitening` against scipy, block by block."""
    whitener, order = WHITENERS[name]
    own, mean, covariance = build(name, 5, dtype=dtype, group_size=2, eps=EPS), Average(), Average()
    for step, size in enumerate(SIZES):
        h = rows(size, dim=5, seed=step, dtype=dtype)
        x = wide(h)
        mean.add(x.mean(0))
        covariance.add(biased(x))
        agree(own(h), whitened(x, x.mean(0), biased(x), whitener, order, EPS))
    agree(own.eval()(h), whitened(x, mean.value(), covariance.value(), whitener, order, EPS), tolerance=1e-4)


def test_reference_of_iternorm(build: Build, rows: Rows, dtype: torch.dtype, agree: Agree) -> None:
    """`IterNorm` against its iteration in numpy."""
    own, order = build("iternorm", 4, dtype=dtype, group_size=4, eps=EPS), np.arange(4)
    for step, size in enumerate(SIZES):
        h = rows(size, dim=4, seed=step, dtype=dtype)
        x = wide(h)
        agree(own(h), (x - x.mean(0))[:, order] @ newton(biased(x) + EPS * np.eye(4)))


def test_iternorm_converges_to_dbn(build: Build, rows: Rows) -> None:
    h = rows(30, dtype=torch.float64)
    exact, patient = build("dbn", dtype=torch.float64), build("iternorm", dtype=torch.float64, iterations=40, eps=EPS)
    torch.testing.assert_close(patient(h), exact(h), rtol=1e-8, atol=1e-8)


def test_reference_of_switchable_whiten(build: Build, rows: Rows, dtype: torch.dtype, agree: Agree) -> None:
    """`SwitchableWhitening` against its formula in numpy, example by example."""
    own = build("switchable_whiten", dtype=dtype, group_size=3)
    with torch.no_grad():
        own.mean_weights.copy_(torch.tensor([0.3, -0.2, 0.5]))
        own.covariance_weights.copy_(torch.tensor([0.1, 0.9, -0.4]))
    a, b = (np.exp(wide(w)) / np.exp(wide(w)).sum() for w in (own.mean_weights, own.covariance_weights))
    for step, size in enumerate(SIZES):
        h = rows(size, seed=step, dtype=dtype)
        x = wide(h)
        covariance = block_diag(biased(x[:, :3]), biased(x[:, 3:]))
        expected = []
        for row in x:
            mixed = b[0] * covariance + b[1] * np.diag(np.diag(covariance)) + (b[2] * row.var() + 1e-5) * np.eye(6)
            matrix = block_diag(newton(mixed[:3, :3]), newton(mixed[3:, 3:]))
            expected.append(matrix @ (row - (a[0] + a[1]) * x.mean(0) - a[2] * row.mean()))
        agree(own(h), np.array(expected))


def test_switchable_whitening_reduces_to_its_parts(build: Build, rows: Rows) -> None:
    h = rows(30, dtype=torch.float64)
    for chosen, reference in ((0, build("iternorm", dtype=torch.float64)(h)), (2, nn.LayerNorm(6).double()(h))):
        own = build("switchable_whiten", dtype=torch.float64, iterations=40 if chosen else 5)
        with torch.no_grad():
            own.mean_weights[chosen] = own.covariance_weights[chosen] = 60.0
        torch.testing.assert_close(own(h), reference, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["dbn", "iternorm", "cholesky_bw", "group_whiten_shuffled", "switchable_whiten"])
@pytest.mark.parametrize("size", [4, 12])
def test_whitening_passes_gradcheck_in_training(name: str, size: int, build: Build, rows: Rows) -> None:
    normalizer = build(name, dtype=torch.float64, group_size=3)  # with four rows a block has just full rank
    assert torch.autograd.gradcheck(normalizer, (rows(size, dtype=torch.float64).requires_grad_(),))


@pytest.mark.parametrize("name", ["batchrenorm", "ghostbn"])
def test_batch_normalization_passes_gradcheck_in_training(name: str, build: Build, rows: Rows) -> None:
    options = {"warmup_steps": 10**6} if name == "batchrenorm" else {}  # its corrections count as constants
    normalizer = build(name, dtype=torch.float64, **options)
    assert torch.autograd.gradcheck(normalizer, (rows(19, dtype=torch.float64).requires_grad_(),))


def test_whitening_has_a_gradient_where_eigenvalues_coincide(build: Build) -> None:
    # The derivative of an eigendecomposition is infinite here.
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    assert torch.autograd.gradcheck(build("dbn", 2, dtype=torch.float64), (corners.requires_grad_(),))
    with torch.no_grad():
        symmetric = corners.T @ corners / 4
    eigenvalues, axes = torch.linalg.eigh(symmetric.requires_grad_())
    root = (axes / eigenvalues.sqrt()) @ axes.T
    assert torch.autograd.grad((root * torch.tensor([[1.0, 2], [2, 3]])).sum(), symmetric)[0].isnan().any()


def test_released_group_whitening_is_not_followed(build: Build, rows: Rows) -> None:
    """WhitenedCSE evaluates with the statistics of the current batch and a new permutation each time."""
    normalizer, h = build("group_whiten_shuffled"), rows(12)
    for step in range(5):
        normalizer(rows(16, seed=step))
    normalizer.eval()
    assert torch.equal(normalizer(h), normalizer(h))
    torch.testing.assert_close(normalizer(h)[:3], normalizer(h[:3]), rtol=1e-5, atol=1e-6)
    x = wide(h)  # the released code in evaluation
    released = whitened_by_itself(x), whitened_by_itself(x[:3])
    assert not np.allclose(released[0][:3], released[1], atol=0.1)


def whitened_by_itself(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) @ zca(biased(x) + EPS * np.eye(6))


WHITENINGS = (DecorrelatedBatchNorm, IterNorm, CholeskyBatchWhitening, ShuffledGroupWhitening, SwitchableWhitening)


@pytest.mark.parametrize("kind", WHITENINGS)
def test_blocks_have_half_as_many_dimensions_as_a_batch_has_examples(kind, caplog):
    for size in (2, 7, 16, 32, 200):
        normalizer = kind(96)
        normalizer.take_batch_size(size)
        assert normalizer.group_size == min(kind.largest_group, max(1, size // 2)) < size
        z = normalizer.train()(torch.randn(size, 96, generator=torch.Generator().manual_seed(0)))
        assert z.isfinite().all()
        assert normalizer.eval()(z).shape == z.shape
    assert not caplog.records


@pytest.mark.parametrize("kind", WHITENINGS)
def test_a_chosen_group_size_stays_and_is_warned_about_if_too_large(kind, caplog):
    normalizer = kind(96, group_size=32)
    normalizer.take_batch_size(33)
    assert not caplog.records
    normalizer.take_batch_size(32)
    assert normalizer.group_size == 32
    (record,) = caplog.records
    assert "rank 31 at most" in record.getMessage()


@pytest.mark.parametrize("kind", [BatchNorm, GhostBatchNorm, BatchRenorm, *WHITENINGS])
def test_a_dead_dimension_is_centred_and_not_scaled_and_changes_nothing_for_the_others(kind):
    generator = torch.Generator().manual_seed(0)
    living = torch.randn(60, 32, 11, generator=generator, dtype=torch.float64) * torch.linspace(0.5, 2, 11)
    noise = 1e-6 * torch.randn(60, 32, 1, generator=generator, dtype=torch.float64) + 0.1
    normalizer = kind(12).double()
    for h in torch.cat([living, noise], -1):
        h = h.clone().requires_grad_()
        z = normalizer.train()(h)
    scale = normalizer.weight if normalizer.weight is not None else torch.ones(12)
    z = z.detach() / scale.detach()
    assert normalizer.details()["dead_dimensions"] == [11]
    plain = kind is not SwitchableWhitening  # which subtracts a share of each embedding's own mean, too
    assert z[:, 11].abs().max() < 1e-4 or not plain  # not of size 1
    z_of_sum = normalizer(h)[:, 11]
    gradient = torch.autograd.grad((z_of_sum * torch.randn(32, generator=generator)).sum(), h)[0]
    assert 0 < gradient[:, 11].abs().max() < 5  # not 1 / sqrt(eps)
    evaluated = normalizer.eval()(h)
    assert evaluated[:, 11].abs().max() < 1e-3 or not plain  # running means of `BatchNorm` start at zero
    if (affine := normalizer.as_affine()) is not None:
        matrix, shift = affine
        folded = h * matrix + shift if matrix.ndim == 1 else h @ matrix.T + shift
        torch.testing.assert_close(folded, evaluated, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", [BatchNorm, BatchRenorm, DecorrelatedBatchNorm, CholeskyBatchWhitening])
def test_living_dimensions_are_mapped_as_without_the_dead_ones(kind):
    generator = torch.Generator().manual_seed(0)
    living = torch.randn(40, 6, generator=generator, dtype=torch.float64) @ torch.randn(
        6, 6, generator=generator, dtype=torch.float64
    )
    mixed = torch.cat([living, torch.full((40, 2), 3.0, dtype=torch.float64)], 1)
    alone, together = kind(6).double().train()(living), kind(8).double().train()(mixed)
    torch.testing.assert_close(together[:, :6], alone, atol=1e-9, rtol=1e-9)
