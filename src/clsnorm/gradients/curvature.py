"""The largest eigenvalue of the loss's Gauss-Newton matrix or Hessian, by Lanczos on products with vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from clsnorm.distributed import all_reduce_sum
from clsnorm.losses import Loss

Outputs = Callable[[Sequence[Tensor]], Tensor]  # from parameters to the outputs (B, C) of a batch


@dataclass(frozen=True)
class Eigenvalue:
    """The largest eigenvalue that Lanczos found.

    Attributes:
        value: The Ritz value ``t``; not above the largest eigenvalue.
        residual: ``||A v - t v|| / |t|`` of its unit vector v: an eigenvalue lies within this share of ``t``.
        iterations: Products with a vector.
    """

    value: float
    residual: float
    iterations: int


def largest_eigenvalue(
    multiply: Callable[[Tensor], Tensor], start: Tensor, *, iterations: int, tolerance: float
) -> Eigenvalue:
    """Returns the algebraically largest eigenvalue of a symmetric matrix.

    Lanczos without reorthogonalization (Paige, 1972): three vectors in memory. Lost orthogonality repeats eigenvalues
    that have converged, and does not change the largest. All are NaN if a product is not finite.

    Args:
        multiply: From a vector ``(n,)`` to the product with the matrix.
        start: First vector ``(n,)``, not zero.
        iterations: Most products.
        tolerance: Ends at this relative residual.
    """
    vector, before, beta = start / start.norm(), torch.zeros_like(start), 0.0
    diagonal: list[float] = []
    off: list[float] = []
    for _ in range(iterations):
        product = multiply(vector) - beta * before
        alpha = float(torch.dot(product.double(), vector.double()))
        product = product - alpha * vector
        beta = float(product.double().norm())
        diagonal.append(alpha)
        if not math.isfinite(alpha + beta):
            return Eigenvalue(math.nan, math.nan, len(diagonal))
        value, last = _top(diagonal, off)
        residual = beta * abs(last) / abs(value) if value else (math.inf if beta else 0.0)
        if residual <= tolerance or beta == 0.0:
            break
        off.append(beta)
        vector, before = product / beta, vector
    return Eigenvalue(value, residual, len(diagonal))


def _top(diagonal: list[float], off: list[float]) -> tuple[float, float]:
    """Returns the largest eigenvalue of a tridiagonal matrix, and the last entry of its unit vector."""
    matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    beside = torch.tensor(off, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(matrix + torch.diag(beside, 1) + torch.diag(beside, -1))
    return float(values[-1]), float(vectors[-1, -1])


class Curvature:
    r"""Products with the Gauss-Newton matrix or the Hessian of the mean loss over fixed batches, in float32.

    The Gauss-Newton matrix is :math:`\frac1N \sum_i J_i^\top \nabla^2 \ell_i J_i` with the Jacobian :math:`J_i` of
    example i's outputs and the Hessian of its loss by the outputs (for cross-entropy, the Fisher matrix). It is the
    Hessian without the curvature of the outputs, and positive semidefinite if the loss is convex in them. Products need
    no copy of the parameters; those of all processes are summed, so that each may hold a part of the batches.

    Args:
        parameters: The parameters, detached, of which the matrix is.
        batches: Outputs and labels of each batch of this process.
        count: Number N of examples in all batches of all processes.
        loss: Of each example.
        hessian: The Hessian instead of the Gauss-Newton matrix.
        scales: Factors ``s`` by parameter, of its shape or ``()``: the matrix is ``S^(1/2) A S^(1/2)``, whose
            eigenvalues are those of ``S A``; None: 1.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        batches: Sequence[tuple[Outputs, Tensor]],
        *,
        count: int,
        loss: Loss,
        hessian: bool = False,
        scales: Sequence[Tensor] | None = None,
    ) -> None:
        self._parameters = [parameter.detach().float().requires_grad_() for parameter in parameters]
        self._batches, self._count, self._losses = batches, count, loss
        self._product = self._hessian if hessian else self._gauss_newton
        self._roots = None if scales is None else [scale.sqrt() for scale in scales]

    def start(self, seed: int = 0) -> Tensor:
        """Returns a random vector of the parameters' size; the global random state is unchanged."""
        size = sum(parameter.numel() for parameter in self._parameters)
        draw = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        return draw.to(self._parameters[0].device)

    def __call__(self, vector: Tensor) -> Tensor:
        """Returns the product with ``vector``, both flat. Collective."""
        parts = [p.view_as(q) for p, q in zip(vector.split(self._sizes), self._parameters, strict=True)]
        parts = self._scaled(parts)
        total = [torch.zeros_like(part) for part in parts]
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # the kernel that can be differentiated twice
            for outputs, labels in self._batches:
                for sum_, product in zip(total, self._product(outputs, labels, parts), strict=True):
                    sum_ += product.detach()
        flat = torch.cat([part.reshape(-1) for part in self._scaled(total)])
        return all_reduce_sum(flat) / self._count

    @property
    def _sizes(self) -> list[int]:
        return [parameter.numel() for parameter in self._parameters]

    def _scaled(self, parts: list[Tensor]) -> list[Tensor]:
        if self._roots is None:
            return parts
        return [part * root for part, root in zip(parts, self._roots, strict=True)]

    def _gauss_newton(self, outputs: Outputs, labels: Tensor, parts: list[Tensor]) -> Sequence[Tensor]:
        out = outputs(self._parameters)
        seed = torch.zeros_like(out, requires_grad=True)  # J v is the derivative of (J^T u) . v by u
        pulled = _gradients(out, self._parameters, seed, create_graph=True)
        (moved,) = _gradients(pulled, [seed], parts, retain_graph=True)
        leaf = out.detach().requires_grad_()
        loss = self._losses(leaf, labels).sum()
        (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
        (bent,) = torch.autograd.grad(slope, leaf, moved)
        return _gradients(out, self._parameters, bent)

    def _hessian(self, outputs: Outputs, labels: Tensor, parts: list[Tensor]) -> Sequence[Tensor]:
        loss = self._losses(outputs(self._parameters), labels).sum()
        slopes = _gradients(loss, self._parameters, None, create_graph=True)
        return _gradients(slopes, self._parameters, parts)


def _gradients(
    of: Tensor | Sequence[Tensor],
    by: Sequence[Tensor],
    weights: Tensor | Sequence[Tensor] | None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Sequence[Tensor]:
    """Returns `torch.autograd.grad`, with zeros where a parameter has no effect."""
    kept = create_graph or retain_graph
    found: Sequence[Tensor] = torch.autograd.grad(
        of, by, weights, retain_graph=kept, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
    return found
