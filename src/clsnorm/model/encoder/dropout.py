"""Dropout whose random bits cost less on a CPU, where torch draws each of them with a whole random number generator.

Masks come from torch's generator, as torch's own do: a seed set before a batch gives the same masks again, on the same
kind of device. An element is kept with probability ``1 - p`` to 32 bits, independently of all others. torch's generator
gives one seed a mask, from which another generator (NumPy's SFC64) draws the bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

BITS = 32


def is_faster(x: Tensor) -> bool:
    """Are masks drawn here for tensors like ``x``? torch's kernels are faster on a GPU."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def scaled_mask(shape: Sequence[int], probability: float) -> Tensor:
    """Draws a mask, float32 on the CPU: 0 with ``probability``, between 0 and 1, exclusive, and else 1 / (1 - it)."""
    count = int(np.prod(shape))
    seed = int(torch.empty((), dtype=torch.int64).random_())
    pairs = np.random.Generator(np.random.SFC64(seed)).integers(
        0, 2**64 - 1, size=(count + 1) // 2, dtype=np.uint64, endpoint=True
    )
    bits = torch.from_numpy(pairs.view(np.int32)[:count]).view(*shape)
    kept = round((1 - probability) * 2**BITS) - 2 ** (BITS - 1)  # of the signed numbers, those below it
    mask = torch.empty(*shape)
    torch.lt(bits, kept, out=mask)
    return mask.mul_(1 / (1 - probability))


class _Masked(torch.autograd.Function):
    """``x * mask``. The mask is drawn inside, so that it is not a node of the graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, probability: float) -> Tensor:
        mask = scaled_mask(x.shape, probability)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return grad * mask, None


class Dropout(nn.Dropout):
    """``nn.Dropout``, drawing its masks by `scaled_mask` where that is faster."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1 or not is_faster(x):
            return super().forward(x)
        out: Tensor = _Masked.apply(x, self.p)
        return out


def use_faster_dropout(model: nn.Module) -> None:
    """Replaces the dropout layers of ``model`` in place."""
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout
