"""Products and eigenvalues against the full matrices of torch.func, and SciPy's eigsh."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from plain_losses import CROSS_ENTROPY, SQUARED_ERROR
from scipy.sparse.linalg import eigsh
from torch import Tensor, nn

from clsnorm.batches import Batch
from clsnorm.gradients import Curvature, Eigenvalue, largest_eigenvalue
from clsnorm.gradients.curvature import Outputs
from clsnorm.losses import Loss, StandardLoss, Task
from clsnorm.model import Encoder

WEIGHTED = StandardLoss(Task(("a", "b", "c"), (3, 2, 2)), class_weights={"a": 1, "b": 4, "c": 2}, label_smoothing=0.2)
LABELS = {False: torch.tensor([0, 2, 1, 2, 0, 0, 1]), True: torch.linspace(-1, 1, 7)}


class Tiny:
    """A small network, its batches in two parts, and its full matrices."""

    def __init__(self, loss: Loss = CROSS_ENTROPY) -> None:
        torch.manual_seed(0)
        self.loss, regression = loss, loss.task.regression
        outputs = 1 if regression else 3
        self.model = nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.LayerNorm(5), nn.Linear(5, outputs))
        self.x, self.labels = 2 * torch.randn(7, 4), LABELS[regression]
        self.names = [name for name, _ in self.model.named_parameters()]
        self.parameters = list(self.model.parameters())
        self.sizes = [p.numel() for p in self.parameters]

    def outputs(self, x: Tensor) -> Outputs:
        def run(parameters: Sequence[Tensor]) -> Tensor:
            return torch.func.functional_call(self.model, dict(zip(self.names, parameters, strict=True)), (x,))

        return run

    def curvature(self, **options: object) -> Curvature:
        batches = [(self.outputs(self.x[part]), self.labels[part]) for part in (slice(0, 5), slice(5, 7))]
        return Curvature(self.parameters, batches, count=7, loss=self.loss, **options)  # type: ignore[arg-type]

    def by_hand(self, parts: Sequence[Tensor]) -> Tensor:
        """The outputs without `torch.nn.LayerNorm`, whose Hessian by `torch.func` is wrong in torch 2.13."""
        first, first_bias, weight, bias, last, last_bias = parts
        inner = nn.functional.gelu(self.x @ first.T + first_bias)
        centred = inner - inner.mean(-1, keepdim=True)
        normed = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias
        return normed @ last.T + last_bias

    def full(self, *, hessian: bool) -> Tensor:
        flat = torch.cat([p.detach().reshape(-1) for p in self.parameters])

        def logits(flat: Tensor) -> Tensor:
            parts = [a.view_as(p) for a, p in zip(flat.split(self.sizes), self.parameters, strict=True)]
            return self.by_hand(parts)

        def loss(out: Tensor) -> Tensor:
            return self.loss(out, self.labels).mean()

        if hessian:
            return torch.func.hessian(lambda flat: loss(logits(flat)))(flat)
        jacobian = torch.func.jacrev(logits)(flat).flatten(0, 1)
        bend = torch.func.hessian(lambda out: loss(out.view(7, -1)))(logits(flat).reshape(-1))
        return jacobian.T @ bend @ jacobian


@pytest.mark.parametrize("loss", [CROSS_ENTROPY, WEIGHTED, SQUARED_ERROR], ids=["plain", "weighted", "numbers"])
@pytest.mark.parametrize("hessian", [False, True])
def test_products_and_the_largest_eigenvalue(loss: Loss, hessian: bool) -> None:
    tiny = Tiny(loss)
    full, curvature = tiny.full(hessian=hessian), tiny.curvature(hessian=hessian)
    vector = curvature.start(seed=3)
    torch.testing.assert_close(curvature(vector), full @ vector, atol=1e-5, rtol=1e-4)
    expected = eigsh(full.double().numpy(), k=1, which="LA", return_eigenvectors=False)[0]
    found = largest_eigenvalue(curvature, curvature.start(), iterations=60, tolerance=1e-4)
    assert found.value == pytest.approx(expected, rel=1e-4)
    assert found.residual <= 1e-4
    assert found.iterations < 60


def test_scales_precondition_on_both_sides() -> None:
    tiny = Tiny()
    torch.manual_seed(1)
    scales = [torch.rand_like(p) + 0.1 for p in tiny.parameters[:-1]] + [torch.tensor(2.0)]
    flat = torch.cat([s.expand_as(p).reshape(-1) for s, p in zip(scales, tiny.parameters, strict=True)])
    curvature = tiny.curvature(scales=scales)
    expected = np.linalg.eigvals((flat[:, None] * tiny.full(hessian=False)).detach().double().numpy()).real.max()
    found = largest_eigenvalue(curvature, curvature.start(), iterations=60, tolerance=1e-4)
    assert found.value == pytest.approx(expected, rel=1e-3)


def test_the_head_alone_has_a_closed_form() -> None:
    torch.manual_seed(0)
    head, z, labels = nn.Linear(6, 3), torch.randn(20, 6), torch.arange(20) % 3
    names = [name for name, _ in head.named_parameters()]

    def outputs(parameters: Sequence[Tensor]) -> Tensor:
        return torch.func.functional_call(head, dict(zip(names, parameters, strict=True)), (z,))

    curvature = Curvature(list(head.parameters()), [(outputs, labels)], count=20, loss=CROSS_ENTROPY)
    p = head(z).softmax(-1).detach().double().numpy()
    inputs = np.concatenate([z.numpy(), np.ones((20, 1))], axis=1)
    matrix = sum(np.kron(np.diag(q) - np.outer(q, q), np.outer(x, x)) for q, x in zip(p, inputs, strict=True)) / 20
    found = largest_eigenvalue(curvature, curvature.start(), iterations=21, tolerance=1e-5)
    assert found.value == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-4)


@pytest.mark.parametrize("packed", [False, True])
def test_products_of_an_encoder_are_differences_of_gradients(
    packed: bool, tiny: Callable[..., str], make_batch: Callable[..., Batch]
) -> None:
    """The kernels of attention must be differentiable twice; the Hessian is checked by central differences."""
    encoder = Encoder(tiny("bert"), dropout=0.0).eval()
    batch, names = make_batch([5, 9, 3], packed=packed), [name for name, _ in encoder.named_parameters()]
    parameters = list(encoder.parameters())

    def outputs(given: Sequence[Tensor]) -> Tensor:
        return torch.func.functional_call(encoder, dict(zip(names, given, strict=True)), (batch,)).cls[:, :2]

    curvature = Curvature(parameters, [(outputs, batch.labels)], count=3, loss=CROSS_ENTROPY, hessian=True)
    vector = curvature.start()
    vector = vector / vector.norm()
    parts = [v.view_as(p) for v, p in zip(vector.split([p.numel() for p in parameters]), parameters, strict=True)]

    def slopes(step: float) -> Tensor:
        moved = [(p.detach() + step * v).requires_grad_() for p, v in zip(parameters, parts, strict=True)]
        loss = CROSS_ENTROPY(outputs(moved), batch.labels).mean()
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, moved)])

    difference = (slopes(0.02) - slopes(-0.02)) / 0.04
    product = curvature(vector)
    assert float((product - difference).norm() / product.norm()) < 0.02
    assert all(p.grad is None for p in parameters)


def test_lanczos_of_a_known_matrix() -> None:
    draw = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(80, 80, generator=draw, dtype=torch.float64)).Q
    values = torch.linspace(-3, 2, 80, dtype=torch.float64)
    matrix = (basis * values) @ basis.T
    start = torch.randn(80, generator=draw, dtype=torch.float64)
    found = largest_eigenvalue(lambda v: matrix @ v, start, iterations=80, tolerance=1e-6)
    assert found.value == pytest.approx(2.0, rel=1e-6)  # the largest, not the largest in size
    early = largest_eigenvalue(lambda v: matrix @ v, start, iterations=4, tolerance=1e-6)
    assert early.iterations == 4
    assert early.residual > 1e-6
    assert float((values - early.value).abs().min()) <= early.residual * abs(early.value)  # what a residual states
    again = largest_eigenvalue(lambda v: matrix @ v, start, iterations=500, tolerance=1e-15)  # far beyond convergence
    assert again.value == pytest.approx(2.0, rel=1e-9)


def test_matrices_without_a_spectrum() -> None:
    start = torch.ones(5)
    assert largest_eigenvalue(lambda v: 0 * v, start, iterations=9, tolerance=0.01).value == 0.0
    assert largest_eigenvalue(lambda v: 3 * v, start, iterations=9, tolerance=0.01).value == pytest.approx(3.0)
    found = largest_eigenvalue(lambda v: v * math.nan, start, iterations=9, tolerance=0.01)
    assert isinstance(found, Eigenvalue)
    assert math.isnan(found.value)
    assert math.isnan(found.residual)


def test_the_random_state_is_untouched() -> None:
    curvature = Tiny().curvature()
    before = torch.get_rng_state()
    assert torch.equal(curvature.start(seed=1), curvature.start(seed=1))
    curvature(curvature.start())
    assert torch.equal(torch.get_rng_state(), before)
