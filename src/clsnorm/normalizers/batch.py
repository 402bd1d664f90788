"""Batch normalization over the global batch: several processes that share it compute what one process computes."""

from typing import Any

import torch
from torch import Tensor

from clsnorm.distributed import all_reduce_sum, differentiable_all_reduce_sum
from clsnorm.errors import require_positive, require_switch, require_whole
from clsnorm.normalizers.batch_statistics import (
    global_variance,
    largest_slope,
    require_batch,
    rows_before,
    statistics_dtype,
)
from clsnorm.normalizers.dead_dimensions import DEAD, dead_by_variance, require_dead_share
from clsnorm.normalizers.normalizer import Normalizer, require_rate


class BatchNorm(Normalizer):
    """``z = (h - mean) / sqrt(var + eps) * weight + bias``, mean and variance of each dimension over the batch.

    Ioffe & Szegedy (2015), arXiv:1502.03167. Equal to ``torch.nn.BatchNorm1d`` on the whole global batch in outputs,
    buffers and gradients, however the batch is split over processes, empty parts included, but for dead dimensions.
    Evaluation uses the running statistics; the running variance is the unbiased one, as in torch.

    With ``sync=False`` each process normalizes its part by the statistics of that part, which saves four small
    reductions a step; a part of fewer than two examples is normalized by the running statistics. The running
    statistics always follow the whole batch, so that they are equal on all processes.

    Args:
        dim: Dimensions of an embedding.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
        affine: Whether to learn ``weight`` and ``bias``; they start at one and zero.
        sync: Whether the statistics are those of the global batch rather than of each process's part.
        dead: See `clsnorm.normalizers.dead_dimensions`: such a dimension is centred and not scaled.

    Raises:
        InputError: ``eps`` is not positive, ``momentum`` not above 0 and at most 1, or ``dead`` not a share of at most
            0.5. In training: the global batch is a single example.
    """

    mixes_batch = True
    min_batch_size = 2
    reduces = "count, mean, variance"
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        dim: int,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        sync: bool = True,
        dead: float = DEAD,
    ) -> None:
        super().__init__(dim)
        require_dead_share(dead)
        self.dead = dead
        require_positive("eps", eps, advice="Give a small number such as normalizer.eps=1e-5")
        require_rate("momentum", momentum)
        self.eps = eps
        self.momentum = momentum
        require_switch("sync", sync, advice="Give normalizer.sync=true")
        self.sync = sync
        self._last_slope: Tensor | None = None  # factor of the last batch, without the weight
        self.learn(weight=affine, bias=affine)
        # The names of torch.nn.BatchNorm1d, so that its state can be loaded.
        self.register_buffer("running_mean", torch.zeros(dim, dtype=torch.float32))
        self.register_buffer("running_var", torch.ones(dim, dtype=torch.float32))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def normalize(self, h: Tensor) -> Tensor:
        wide = h.to(statistics_dtype(h))
        mean, variance = self._training_statistics(wide) if self.training else self._running_statistics()
        lifeless = dead_by_variance(mean, variance, self.dead) if self.training else self._running_dead()
        slope = torch.where(lifeless, 1.0, (variance + self.eps).rsqrt())
        self._last_slope = slope.detach()
        return self.apply_affine((wide - mean) * slope).to(h.dtype)

    def largest_gain(self, h: Tensor) -> Tensor | None:
        """The largest ``|weight_i| / sqrt(var_i + eps)``, for the whole batch; attained with more than two examples.

        For a column of the batch, ``J = (I - 11^T/B - zz^T/B) weight_i / sqrt(var_i + eps)``, with ``z`` before the
        weight.
        """
        return largest_slope(self.weight, self._last_slope, h)

    def as_affine(self) -> tuple[Tensor, Tensor]:
        scale = torch.where(self._running_dead(), 1.0, (self.running_var.double() + self.eps).rsqrt())
        shift = -self.running_mean.double() * scale
        return self.fold_affine(scale, shift)

    def details(self) -> dict[str, Any]:
        return super().details() | {"dead_dimensions": self._running_dead().nonzero().flatten().tolist()}

    def _running_dead(self) -> Tensor:
        """Returns which dimensions are dead by the running statistics.

        Without the start of the running variance at one, which would hide dead dimensions for a hundred batches.
        """
        variance = self.running_var.to(statistics_dtype(self.running_var))
        start = (1 - self.momentum) ** self.num_batches_tracked.to(variance.dtype)
        seen = torch.where(start < 1, (variance - start) / (1 - start), variance).clamp(min=0)
        return dead_by_variance(self.running_mean, seen, self.dead)

    def extra_repr(self) -> str:
        return f"eps={self.eps}, momentum={self.momentum}, affine={self.weight is not None}, sync={self.sync}"

    def _training_statistics(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the statistics to normalize by, and updates the running statistics with those of the whole batch."""
        if self.sync:
            mean, variance, count = global_variance(h)
            require_batch(len(h), count, self.min_batch_size)
            self._update(mean.detach(), variance.detach(), count)
            return mean, variance
        with torch.no_grad():
            mean, variance, count = global_variance(h)
            require_batch(len(h), count, self.min_batch_size)
        own = (h.mean(0), h.var(0, correction=0)) if len(h) >= 2 else self._running_statistics()
        self._update(mean, variance, count)
        return own

    def _running_statistics(self) -> tuple[Tensor, Tensor]:
        # Copies, as the buffers are updated in place before the output or its gradient is computed.
        return self.running_mean.clone(), self.running_var.clone()

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        unbiased = variance * (count / (count - 1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked += 1


class GhostBatchNorm(BatchNorm):
    """`BatchNorm` over virtual batches of ``virtual_batch_size`` consecutive rows of the global batch.

    ``z = (h - mean_v) / sqrt(var_v + eps) * weight + bias``, where ``v`` is the row's virtual batch. Hoffer et al. 2017
    (arXiv:1705.08741): the noise of small batches at the cost of a large one. The global batch of ``N`` rows, in the
    order of the processes, is cut into ``max(1, N // virtual_batch_size)`` virtual batches; the last one takes the
    remainder. Equal to calling ``torch.nn.BatchNorm1d`` on one after the other, however the rows are distributed over
    processes.

    Args:
        dim: Dimensions of an embedding.
        virtual_batch_size: Rows of a virtual batch.
        eps: Added to the variance.
        momentum: Weight of the newest virtual batch in the running statistics.
        affine: Whether to learn ``weight`` and ``bias``; they start at one and zero.
        dead: See `clsnorm.normalizers.dead_dimensions`: such a dimension is centred and not scaled.

    Raises:
        InputError: ``virtual_batch_size`` is not a whole number of at least 2; for the others see `BatchNorm`.
    """

    reduces = "count, mean and variance of each virtual batch"

    def __init__(
        self,
        dim: int,
        *,
        virtual_batch_size: int = 8,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        dead: float = DEAD,
    ) -> None:
        super().__init__(dim, eps=eps, momentum=momentum, affine=affine, dead=dead)
        require_whole("virtual_batch_size", virtual_batch_size, least=2, advice="Give normalizer.virtual_batch_size=8")
        self.virtual_batch_size = virtual_batch_size

    def _training_statistics(self, h: Tensor) -> tuple[Tensor, Tensor]:
        rows, total = rows_before(h)
        require_batch(len(h), total, self.min_batch_size)
        parts = max(1, int(total) // self.virtual_batch_size)
        part = (torch.arange(len(h), device=h.device) + rows).div(self.virtual_batch_size, rounding_mode="floor")
        part = part.clamp(max=parts - 1)
        counts = all_reduce_sum(torch.bincount(part, minlength=parts).to(h.dtype))[:, None]
        sums = h.new_zeros(parts, self.dim)
        mean = differentiable_all_reduce_sum(sums.index_add(0, part, h)) / counts
        squares = (h - mean[part]) ** 2
        variance = differentiable_all_reduce_sum(sums.index_add(0, part, squares)) / counts
        for number in range(parts):
            self._update(mean[number], variance[number], counts[number])
        return mean[part], variance[part]

    def extra_repr(self) -> str:
        return f"virtual_batch_size={self.virtual_batch_size}, {super().extra_repr()}"
