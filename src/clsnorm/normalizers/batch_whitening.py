"""Whitenings by the covariance of the batch, block by block, with running statistics for evaluation.

The dimensions are cut into blocks of ``group_size``, since the covariance of ``B`` examples has rank ``B - 1`` at most.
The running average is over covariances, not over whitening matrices: the average of a matrix function is not the
function of the average.
"""

import logging
from abc import abstractmethod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clsnorm.distributed import rank
from clsnorm.errors import require_positive, require_whole
from clsnorm.normalizers.batch_statistics import RunningAverage, global_covariance, require_batch, statistics_dtype
from clsnorm.normalizers.dead_dimensions import DEAD, dead_dimensions, isolate_dead, pass_dead, require_dead_share
from clsnorm.normalizers.matrices import inverse_root, with_ridge
from clsnorm.normalizers.normalizer import Normalizer, require_rate

log = logging.getLogger(__name__)


class BatchWhitening(Normalizer):
    """Base of ``z = A (h - mean) * weight + bias``, ``A`` block-diagonal, computed from the global batch's covariance.

    Running mean and (biased) covariance are exponential averages corrected for their start at zero; before the first
    batch they are zero and the identity. A subclass implements `whitener`.

    Args:
        dim: Dimensions of an embedding.
        group_size: Dimensions of a block; the last may be smaller. None: half a training batch, but at most
            ``largest_group``: the covariance of a block then has full rank, and each of its entries is a mean over
            more examples than a block has dimensions.
        eps: Added to the eigenvalues of the covariance.
        momentum: Weight of the newest batch in the running statistics.
        affine: Whether to learn ``weight`` and ``bias``; they start at one and zero.
        dead: See `clsnorm.normalizers.dead_dimensions`: such a dimension is centred and not scaled.

    Attributes:
        largest_group: See ``group_size``; the group size until `take_batch_size` is called.

    Raises:
        InputError: An option is out of range. In training: the global batch is a single example.
    """

    mixes_batch = True
    min_batch_size = 2
    reduces = "count, mean, covariance of each block"
    largest_group: ClassVar[int] = 16

    def __init__(
        self,
        dim: int,
        *,
        group_size: int | None = None,
        eps: float = 1e-3,
        momentum: float = 0.1,
        affine: bool = True,
        dead: float = DEAD,
    ) -> None:
        super().__init__(dim)
        require_dead_share(dead)
        self.dead = dead
        advice = "Set normalizer.group_size=null for half a training batch"
        require_whole("group_size", group_size, least=1, or_null=True, advice=advice)
        require_positive("eps", eps, advice="Give a small number such as normalizer.eps=1e-3")
        require_rate("momentum", momentum)
        self.eps, self.momentum = eps, momentum
        self._follows_batch = group_size is None
        self._cut(self.largest_group if group_size is None else group_size)
        self.learn(weight=affine, bias=affine)

    def _cut(self, group_size: int) -> None:
        """Cuts the dimensions into blocks, without any statistics yet."""
        self.group_size = min(group_size, self.dim)
        self.blocks = -(-self.dim // self.group_size)
        eye = torch.eye(self.group_size).repeat(self.blocks, 1, 1)
        self.running_mean = RunningAverage(torch.zeros(self.blocks, self.group_size))
        self.running_covariance = RunningAverage(eye)

    def take_batch_size(self, size: int) -> None:
        if self._follows_batch:
            self._cut(min(self.largest_group, max(1, size // 2)))
        elif self.group_size >= size and rank() == 0:
            log.warning(
                "normalizer.group_size=%d with data.batch_size=%d: the covariance of a block has rank %d at most, and "
                "eps decides the rest. Set normalizer.group_size=null for half a batch",
                *(self.group_size, size, size - 1),
            )

    @abstractmethod
    def whitener(self, covariance: Tensor) -> Tensor:
        """Returns ``A`` of positive definite covariances, both ``(blocks, group_size, group_size)``, differentiably."""

    def normalize(self, h: Tensor) -> Tensor:
        x = self._to_blocks(h.to(statistics_dtype(h)))
        mean, covariance = self._statistics(x)
        z = torch.einsum("bij,nbj->nbi", self._whitener_of(mean, covariance), x - mean)
        return self.apply_affine(self._from_blocks(z)).to(h.dtype)

    def as_affine(self) -> tuple[Tensor, Tensor] | None:
        mean, covariance = self._running(torch.float64)
        matrix = torch.block_diag(*self._whitener_of(mean, covariance))
        order = self._from_blocks(torch.arange(matrix.shape[0], device=matrix.device).view(1, self.blocks, -1))[0]
        matrix, mean = matrix[order][:, order], mean.flatten()[order]
        return self.fold_affine(matrix, -matrix @ mean)

    def details(self) -> dict[str, Any]:
        lifeless = self._from_blocks(self._dead(*self._running(torch.float64))[None].double())[0]
        found = {"group_size": self.group_size, "dead_dimensions": lifeless.nonzero().flatten().tolist()}
        return super().details() | found

    def extra_repr(self) -> str:
        return f"group_size={self.group_size}, eps={self.eps}, momentum={self.momentum}"

    def _whitener_of(self, mean: Tensor, covariance: Tensor) -> Tensor:
        """Returns ``A`` of each block, that of the living dimensions; a dead one passes as it is."""
        lifeless = self._dead(mean, covariance)
        return pass_dead(self.whitener(with_ridge(isolate_dead(covariance, lifeless), self.eps)), lifeless)

    def _dead(self, mean: Tensor, covariance: Tensor) -> Tensor:
        """Returns which dimensions are dead, ``(blocks, group_size)``; those that pad the last block are not."""
        spread = covariance.detach().diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
        lifeless = torch.zeros(spread.numel(), dtype=torch.bool, device=spread.device)
        own = slice(0, self.dim)
        lifeless[own] = dead_dimensions(mean.detach().flatten()[own], spread.flatten()[own], share=self.dead)
        return lifeless.view(self.blocks, self.group_size)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and covariance to whiten by; in training the batch's, with which it updates the running ones."""
        if not self.training:
            return self._running(x.dtype)
        mean, covariance, count = global_covariance(x)
        require_batch(len(x), count, self.min_batch_size)
        self.running_mean.update(mean, self.momentum)
        self.running_covariance.update(covariance, self.momentum)
        return mean, covariance

    def _running(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return self.running_mean.corrected().to(dtype), self.running_covariance.corrected().to(dtype)

    def _to_blocks(self, h: Tensor) -> Tensor:
        """Returns ``(n, dim)`` as ``(n, blocks, group_size)``; the last block is padded with zeros."""
        return F.pad(h, (0, self.blocks * self.group_size - self.dim)).unflatten(1, (self.blocks, self.group_size))

    def _from_blocks(self, z: Tensor) -> Tensor:
        """Returns ``(n, blocks, group_size)`` as ``(n, dim)``."""
        return z.flatten(1)[:, : self.dim]


class DecorrelatedBatchNorm(BatchWhitening):
    """``z = (S_B + eps I)^(-1/2) (h - mean_B) * weight + bias`` in each block: ZCA whitening of the batch (DBN).

    Huang et al. 2018 (arXiv:1804.08450). ZCA, because principal axes swap places from batch to batch. Running
    covariance as in the authors' ``DBN2``. Options as in `BatchWhitening`.
    """

    def whitener(self, covariance: Tensor) -> Tensor:
        return inverse_root(covariance)


class CholeskyBatchWhitening(BatchWhitening):
    """``z = L^(-1) (h - mean_B) * weight + bias`` in each block, ``L L^T = S_B + eps I``, ``L`` lower triangular.

    Coordinate ``i`` is the part of ``h_i`` that ``h_1 ... h_(i-1)`` do not predict, so the order of the dimensions
    matters. Siarohin et al. 2019 (arXiv:1806.00420); Huang et al. 2020 (arXiv:2003.12327). Options as in
    `BatchWhitening`.
    """

    def whitener(self, covariance: Tensor) -> Tensor:
        lower = torch.linalg.cholesky(covariance)
        eye = torch.eye(self.group_size, dtype=lower.dtype, device=lower.device).expand_as(lower)
        return torch.linalg.solve_triangular(lower, eye, upper=False)


class ShuffledGroupWhitening(DecorrelatedBatchNorm):
    """`DecorrelatedBatchNorm` without parameters, over blocks of randomly permuted dimensions.

    ``z = Q^T (Q S_B Q^T + eps I)^(-1/2) Q (h - mean_B)``, ``Q`` the permutation, block by block.
    After WhitenedCSE (Zhuo et al. 2023, arXiv:2305.17746). The released code evaluates with the statistics of the
    current batch and a new permutation each time, so an output depends on its neighbours and on chance; and its
    gradient treats the whitening matrix as a constant. Here the permutation is fixed, evaluation uses running
    statistics, and the gradient is complete.

    Args:
        dim: Dimensions of an embedding.
        group_size: Dimensions of a block; the last may be smaller. None: half a training batch, at most 6.
        seed: Seed of the permutation; it does not depend on the run's seed.
        eps: Added to the eigenvalues of the covariance.
        momentum: Weight of the newest batch in the running statistics.
        dead: See `clsnorm.normalizers.dead_dimensions`: such a dimension is centred and not scaled.

    Raises:
        InputError: An option is out of range. In training: the global batch is a single example.
    """

    order: Tensor
    largest_group = 6

    def __init__(
        self,
        dim: int,
        *,
        group_size: int | None = None,
        seed: int = 0,
        eps: float = 1e-3,
        momentum: float = 0.1,
        dead: float = DEAD,
    ) -> None:
        super().__init__(dim, group_size=group_size, eps=eps, momentum=momentum, affine=False, dead=dead)
        require_whole("seed", seed, least=0, advice="Give for example normalizer.seed=0")
        self.seed = seed
        order = torch.randperm(dim, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("order", order)

    def _to_blocks(self, h: Tensor) -> Tensor:
        return super()._to_blocks(h[:, self.order])

    def _from_blocks(self, z: Tensor) -> Tensor:
        return super()._from_blocks(z)[:, self.order.argsort()]

    def extra_repr(self) -> str:
        return f"seed={self.seed}, {super().extra_repr()}"
