"""Statistics of a batch that is split over processes, and their running averages.

Sums are reduced over the processes, and so are their gradients: R processes that share a batch compute what one process
computes from the whole batch, however it is split, empty parts included.
"""

import torch
from torch import Tensor, nn

from clsnorm.distributed import all_reduce_sum, differentiable_all_reduce_sum, rank, world_size
from clsnorm.errors import InputError


def statistics_dtype(h: Tensor) -> torch.dtype:
    """Returns the type for batch statistics: float64 if the device supports it."""
    return torch.float32 if h.device.type == "mps" else torch.float64


def global_mean(h: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean ``(...)`` and count ``()`` of the rows ``(n, ...)`` of all processes; 0 and 0 if there are none."""
    count = all_reduce_sum(h.new_tensor(float(len(h))))
    return differentiable_all_reduce_sum(h.sum(0)) / count.clamp(min=1), count


def rows_before(h: Tensor) -> tuple[int, Tensor]:
    """Returns the number of rows on processes of lower rank, and the count ``()`` over all processes."""
    counts = h.new_zeros(world_size())
    counts[rank()] = len(h)
    counts = all_reduce_sum(counts)
    return int(counts[: rank()].sum()), counts.sum()


def global_variance(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns mean ``(d,)``, biased variance ``(d,)`` and count ``()`` of the rows of all processes, differentiably.

    Two passes, first the mean and then the squares around it, so that a large mean costs no precision.
    """
    mean, count = global_mean(h)
    variance = differentiable_all_reduce_sum(((h - mean) ** 2).sum(0)) / count.clamp(min=1)
    return mean, variance, count


def global_covariance(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns mean, biased covariance and count ``()`` of the rows of all processes, differentiably, in two passes.

    Args:
        h: Rows ``(n, ..., d)``. The covariance is ``(..., d, d)``: over the last axis, for each index of those between.
    """
    mean, count = global_mean(h)
    centred = h - mean
    products = torch.einsum("n...i,n...j->...ij", centred, centred)
    return mean, differentiable_all_reduce_sum(products) / count.clamp(min=1), count


def require_batch(rows: int, count: Tensor, least: int) -> None:
    """Raises `InputError` on every process if the global batch of ``count`` examples has fewer than ``least``.

    Reading the count waits for the device, and is not needed if this process's ``rows`` alone are enough. If the
    global batch is too small, so is every part, so all processes read the count and raise.
    """
    if rows < least and int(count) < least:
        raise InputError(
            f"Expected a global batch of at least {least} examples to take batch statistics in "
            f"training, but got {int(count)}. Choose data.batch_size so that the last batch has more than one"
        )


class RunningAverage(nn.Module):
    """Exponential average ``v <- v + rate (x - v)`` from zero, corrected for that start as Adam's moments are.

    `corrected` is ``v / (1 - (1 - rate)^t)``: a weighted mean of all values so far, the newest with the largest weight.

    Args:
        initial: What `corrected` returns before the first value.
    """

    value: Tensor
    weight_sum: Tensor
    initial: Tensor

    def __init__(self, initial: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros_like(initial, dtype=torch.float32))
        # Sum of the weights of all values so far, 1 - (1 - rate)^steps: the divisor.
        self.register_buffer("weight_sum", torch.zeros((), dtype=torch.float32))
        self.register_buffer("initial", initial.float(), persistent=False)

    @torch.no_grad()
    def update(self, seen: Tensor, rate: float | Tensor) -> None:
        """Moves the average toward ``seen`` by ``rate``, a number or a scalar tensor; 0 leaves it unchanged."""
        rate = torch.as_tensor(rate, dtype=self.value.dtype, device=self.value.device)
        self.value.lerp_(seen.detach().to(self.value.dtype), rate)
        self.weight_sum.lerp_(torch.ones_like(self.weight_sum), rate)

    def corrected(self) -> Tensor:
        """Returns the average so far, or ``initial``, in the type of the buffers, as a new tensor."""
        seen = self.weight_sum > 0
        return torch.where(seen, self.value / torch.where(seen, self.weight_sum, 1.0), self.initial)


def largest_slope(weight: Tensor | None, slope: Tensor | None, h: Tensor) -> Tensor | None:
    """Returns the largest ``|weight * slope|``, ``()``; None before the first batch, 0 for an empty part."""
    if slope is None:
        return None
    gains = slope if weight is None else slope * weight.to(slope)
    return gains.abs().amax().to(h.dtype) if gains.numel() else h.new_zeros(())
