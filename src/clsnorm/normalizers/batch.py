"""Batch normalization, whose batch is the global one: split over processes it gives what one process gives."""

import torch
from torch import Tensor, nn

from clsnorm.distributed import all_reduce_sum, differentiable_all_reduce_sum
from clsnorm.errors import InputError
from clsnorm.normalizers.base import Normalizer, check_positive, check_rate


class BatchNorm(Normalizer):
    """``z = (h - mean) / sqrt(var + eps) * weight + bias``, mean and variance of each dimension over the batch.

    Ioffe & Szegedy (2015), arXiv:1502.03167; equal to ``torch.nn.BatchNorm1d`` on the whole global batch in
    outputs, buffers and gradients, whatever the split over processes, empty parts included. In evaluation the running
    statistics take the place of the batch's; the running variance is the unbiased one, as in torch.

    With ``sync=False`` each process normalizes its part by that part's own statistics, which saves four small
    reductions a step; a part of fewer than two examples is normalized by the running statistics. The running
    statistics always follow the whole batch, so that every process holds the same.

    Args:
        dim: Dimensions of an embedding.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
        affine: Whether to learn ``weight`` and ``bias``; they start at one and zero.
        sync: Whether the statistics are those of the global batch rather than of each process's part.

    Raises:
        InputError: ``eps`` is not positive, or ``momentum`` not above 0 and at most 1. In training: the global batch
            is a single example.
    """

    mixes_batch = True
    min_batch_size = 2
    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self, dim: int, *, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True, sync: bool = True
    ) -> None:
        super().__init__(dim)
        check_positive("eps", eps, "Give a small number such as normalizer.eps=1e-5")
        check_rate("momentum", momentum)
        self.eps = eps
        self.momentum = momentum
        self.sync = sync
        self.register_parameter("weight", nn.Parameter(torch.ones(dim)) if affine else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(dim)) if affine else None)
        # The names of torch.nn.BatchNorm1d, so that its state can be loaded.
        self.register_buffer("running_mean", torch.zeros(dim, dtype=torch.float32))
        self.register_buffer("running_var", torch.ones(dim, dtype=torch.float32))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def normalize(self, h: Tensor) -> Tensor:
        wide = h.to(statistics_dtype(h))
        mean, variance = self._training_statistics(wide) if self.training else self._running_statistics()
        z = (wide - mean) * (variance + self.eps).rsqrt()
        if self.weight is not None and self.bias is not None:
            z = z * self.weight + self.bias
        return z.to(h.dtype)

    def as_affine(self) -> tuple[Tensor, Tensor]:
        scale = (self.running_var.double() + self.eps).rsqrt()
        shift = -self.running_mean.double() * scale
        if self.weight is not None and self.bias is not None:
            weight = self.weight.detach().double()
            scale, shift = scale * weight, shift * weight + self.bias.detach().double()
        return scale.to(self.running_mean.dtype), shift.to(self.running_mean.dtype)

    def extra_repr(self) -> str:
        return f"eps={self.eps}, momentum={self.momentum}, affine={self.weight is not None}, sync={self.sync}"

    def _training_statistics(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the statistics to normalize by, and updates the running ones with those of the whole batch."""
        if self.sync:
            mean, variance, count = global_statistics(h)
            self._require_two(h, count)
            self._update(mean.detach(), variance.detach(), count)
            return mean, variance
        with torch.no_grad():
            mean, variance, count = global_statistics(h)
            self._require_two(h, count)
        own = (h.mean(0), h.var(0, correction=0)) if len(h) >= 2 else self._running_statistics()
        self._update(mean, variance, count)
        return own

    def _running_statistics(self) -> tuple[Tensor, Tensor]:
        # Copies: the buffers are updated in place, before the output or its gradient is computed from these.
        return self.running_mean.clone(), self.running_var.clone()

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        unbiased = variance * (count / (count - 1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked += 1

    def _require_two(self, h: Tensor, count: Tensor) -> None:
        # Reading the count waits for the device; where this part alone has two examples there is no need to. If the
        # global batch is one example, no part has two, so every process comes here and raises.
        if len(h) < self.min_batch_size and int(count) < self.min_batch_size:
            raise InputError(
                f"Expected a global batch of at least {self.min_batch_size} examples to take batch statistics in "
                f"training, but got {int(count)}. Choose data.batch_size so that no batch of one is left over"
            )


def global_statistics(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns mean ``(d,)``, biased variance ``(d,)`` and count ``()`` of the rows of all processes, differentiably.

    In two passes, first the mean and then the squares around it, so that a large mean costs no digits.
    """
    count = all_reduce_sum(h.new_tensor(float(len(h))))
    mean = differentiable_all_reduce_sum(h.sum(0)) / count
    variance = differentiable_all_reduce_sum(((h - mean) ** 2).sum(0)) / count
    return mean, variance, count


def statistics_dtype(h: Tensor) -> torch.dtype:
    """Returns the type to take batch statistics in: float64, where the device has it."""
    return torch.float32 if h.device.type == "mps" else torch.float64
