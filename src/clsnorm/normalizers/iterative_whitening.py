"""Whitening of batches by Newton's iteration, and the learned mixture of normalizations that is built on it."""

import torch
from torch import Tensor, nn

from clsnorm.errors import require_whole
from clsnorm.normalizers.batch_statistics import statistics_dtype
from clsnorm.normalizers.batch_whitening import BatchWhitening
from clsnorm.normalizers.dead_dimensions import DEAD, isolate_dead, pass_dead
from clsnorm.normalizers.matrices import newton_inverse_root, with_ridge


class IterNorm(BatchWhitening):
    """`DecorrelatedBatchNorm` with ``S^(-1/2)`` by ``iterations`` of Newton's method: only products, no eigen-solve.

    ``z = P_T (h - mean_B) / sqrt(tr S) * weight + bias, P_k = (3 P_(k-1) - P_(k-1)^3 S / tr S) / 2, P_0 = I`` in each
    block, ``S = S_B + eps I`` and ``T`` the number of iterations.
    Huang et al. 2019 (arXiv:1904.03441). Eigenvalues far below the trace do not converge in a few iterations. They are
    whitened only in part, which spares the directions that a small batch says least about.

    Args:
        dim: Dimensions of an embedding.
        iterations: Of Newton's method.
        group_size: Dimensions of a block; the last may be smaller. None: half a training batch, at most 64.
        eps: Added to the eigenvalues of the covariance.
        momentum: Weight of the newest batch in the running statistics.
        affine: Whether to learn ``weight`` and ``bias``; they start at one and zero.
        dead: See `clsnorm.normalizers.dead_dimensions`: such a dimension is centred and not scaled.

    Raises:
        InputError: An option is out of range. In training: the global batch is a single example.
    """

    largest_group = 64

    def __init__(
        self,
        dim: int,
        *,
        iterations: int = 5,
        group_size: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        dead: float = DEAD,
    ) -> None:
        super().__init__(dim, group_size=group_size, eps=eps, momentum=momentum, affine=affine, dead=dead)
        require_whole("iterations", iterations, least=1, advice="Give for example normalizer.iterations=5")
        self.iterations = iterations

    def whitener(self, covariance: Tensor) -> Tensor:
        return newton_inverse_root(covariance, self.iterations)

    def extra_repr(self) -> str:
        return f"iterations={self.iterations}, {super().extra_repr()}"


class SwitchableWhitening(IterNorm):
    """Whitening by a learned mixture of the statistics of batch whitening, batch and layer normalization.

    ``z = S_n^(-1/2) (h - mu_n) * weight + bias`` for example ``n``, with
    ``mu_n = (a_1 + a_2) mean_B + a_3 mean(h)`` and
    ``S_n = b_1 S_B + b_2 diag(S_B) + b_3 var(h) I + eps I``; ``a`` and ``b`` are softmaxes of learned numbers, equal
    at first; mean and variance of ``h`` are over its dimensions. Pan et al. 2019 (arXiv:1904.09739), without their
    instance statistics, which do not exist if an example is one vector. Not affine, as each example has its own matrix.
    Options as in `IterNorm`.
    """

    bends = "has a different matrix for each example"
    largest_group = 16

    def __init__(
        self,
        dim: int,
        *,
        iterations: int = 5,
        group_size: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        dead: float = DEAD,
    ) -> None:
        shared = {"eps": eps, "momentum": momentum, "dead": dead}
        super().__init__(dim, iterations=iterations, group_size=group_size, affine=affine, **shared)
        self.mean_weights = nn.Parameter(torch.zeros(3))
        self.covariance_weights = nn.Parameter(torch.zeros(3))

    def normalize(self, h: Tensor) -> Tensor:
        wide = h.to(statistics_dtype(h))
        x = self._to_blocks(wide)
        mean, covariance = self._statistics(x)
        a, b = self.mean_weights.to(x.dtype).softmax(0), self.covariance_weights.to(x.dtype).softmax(0)
        own_mean = wide.mean(1)[:, None, None]
        own_variance = ((wide - wide.mean(1, keepdim=True)) ** 2).mean(1)[:, None, None, None]
        lifeless = self._dead(mean, covariance)
        covariance = isolate_dead(covariance, lifeless)
        shared = b[0] * covariance + b[1] * torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))
        eye = torch.diag_embed(self._to_blocks(wide.new_ones(1, self.dim))[0])  # zero where a block is padded
        whitener = pass_dead(self.whitener(with_ridge(shared + b[2] * own_variance * eye, self.eps)), lifeless)
        centred = x - (a[0] + a[1]) * mean - a[2] * own_mean
        z = (whitener @ centred[..., None])[..., 0]
        return self.apply_affine(self._from_blocks(z)).to(h.dtype)

    def as_affine(self) -> None:
        return None
