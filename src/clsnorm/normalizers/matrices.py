"""Matrix functions of covariances that whitenings share, with explicit floors for small eigenvalues."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

RELATIVE_RIDGE = 1e-12  # of the mean eigenvalue: keeps float64 factorizations well defined at any scale


def floored(values: Tensor, eps: float) -> Tensor:
    """Returns ``values`` raised to at least ``eps`` times the largest; ones if none is positive."""
    largest = values.max()
    return torch.where(largest > 0, values.maximum(eps * largest), 1.0)


def principal_axes(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Returns eigenvalues, ``(d,)``, largest first, and eigenvectors as columns, ``(d, d)``, of a symmetric matrix.

    The sign of an axis is arbitrary: the entry of largest magnitude is made positive. Axes of equal eigenvalues have no
    defined direction either, and stay arbitrary. Computed on the CPU.
    """
    eigenvalues, axes = torch.linalg.eigh(matrix.cpu())
    eigenvalues, axes = eigenvalues.flip(0), axes.flip(1)
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return eigenvalues, axes * torch.where(largest < 0, -1.0, 1.0)


def spectral_power(matrix: Tensor, power: float, *, eps: float) -> Tensor:
    """Returns ``U max(L, eps max L)^power U^T`` of a symmetric ``U L U^T``; the identity if no eigenvalue is positive.

    Computed on the CPU.
    """
    eigenvalues, axes = torch.linalg.eigh(matrix.cpu())
    return (axes * floored(eigenvalues, eps) ** power) @ axes.T


def shrunk(covariance: Tensor, rate: float) -> Tensor:
    """Returns ``(1 - rate) S + rate tr(S)/d I``: shrunk toward the isotropic matrix of equal trace."""
    result = (1 - rate) * covariance
    result.diagonal().add_(rate * covariance.diagonal().mean())
    return result


def with_ridge(matrix: Tensor, eps: float) -> Tensor:
    """Returns ``S + (eps + 1e-12 tr(S)/d) I`` of matrices ``(..., d, d)``: positive definite at any scale of ``S``."""
    ridge = eps + RELATIVE_RIDGE * matrix.diagonal(dim1=-2, dim2=-1).mean(-1)
    return matrix + ridge[..., None, None] * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


def inverse_root(matrix: Tensor) -> Tensor:
    """Returns ``S^(-1/2)`` of symmetric positive definite matrices ``(..., d, d)``, differentiably.

    The derivative follows Daleckii and Krein: in the eigenbasis, ``dF_ij = dS_ij (f(l_i) - f(l_j)) / (l_i - l_j)``,
    whose quotient is ``-1 / (sqrt(l_i l_j) (sqrt(l_i) + sqrt(l_j)))``. It is finite if eigenvalues coincide; the
    derivative of an eigendecomposition is not.
    """
    return _InverseRoot.apply(matrix)


def newton_inverse_root(matrix: Tensor, iterations: int) -> Tensor:
    """Approximates ``S^(-1/2)`` of symmetric positive definite matrices ``(..., d, d)`` by Newton's iteration.

    ``P_0 = I``, ``P_k = (3 P - P^3 S / tr S) / 2``, result ``P / sqrt(tr S)``: only products, no eigen-solve.
    Eigenvalues far below the trace have not converged after a few iterations and are whitened only in part (Huang et
    al., 2019, arXiv:1904.03441). ``Y = P S / tr S`` is iterated too, which gives the same iterates in exact arithmetic;
    computed from ``P`` alone, rounding errors would grow with each step and take over (Higham 2008, 6.3).
    """
    trace = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    root, inverse = matrix / trace, eye.expand_as(matrix)
    for _ in range(iterations):
        step = 1.5 * eye - 0.5 * (inverse @ root)
        root, inverse = root @ step, step @ inverse
    return inverse * trace.rsqrt()


class _InverseRoot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, matrix: Tensor) -> Tensor:
        eigenvalues, axes = torch.linalg.eigh(matrix)
        roots = eigenvalues.sqrt()
        ctx.save_for_backward(roots, axes)
        return (axes / roots[..., None, :]) @ axes.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        roots, axes = ctx.saved_tensors  # type: ignore[attr-defined]
        first, second = roots[..., :, None], roots[..., None, :]
        turned = axes.mT @ gradients[0] @ axes
        return axes @ (-turned / (first * second * (first + second))) @ axes.mT
