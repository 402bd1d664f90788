"""PowerNorm: division by a running quadratic mean, with a custom backward pass."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clsnorm.distributed import all_reduce_sum, world_size
from clsnorm.errors import require_positive, require_whole
from clsnorm.normalizers.batch_statistics import RunningAverage, global_mean, statistics_dtype
from clsnorm.normalizers.dead_dimensions import DEAD, dead_dimensions, require_dead_share
from clsnorm.normalizers.normalizer import Normalizer, require_rate


class PowerNorm(Normalizer):
    """``z = h / sqrt(phi + eps) * weight + bias``, ``phi`` the running mean of the squares of each dimension.

    Shen et al. 2020 (arXiv:2003.07845). No centring, and no batch statistics in the output after ``warmup_steps``, so
    training and evaluation agree from then on. During the warm-up the divisor is the batch's own quadratic mean. The
    backward pass is the paper's approximation: with ``g`` the gradient at the output and ``nu`` a running estimate of
    ``mean(g z)``, ``dL/dh = (g - (1 - alpha) nu z) / sqrt(phi + eps)``, then
    ``nu += mean((g - (1 - alpha) nu z) z)``, over the global batch; ``1 - alpha`` is ``momentum_backward``. Under a
    gradient scaler ``nu`` is that of the unscaled loss, and a batch whose gradients overflowed does not change it. A
    dimension is dead (`dead_dimensions`) by the root of its quadratic mean; then its divisor is 1.

    Three differences from the released code (github.com/sIncerass/powernorm, ``mask_powernorm.py``): ``phi`` is
    corrected for its start instead of set by a cumulative mean; the backward pass divides by the same number as the
    forward pass (there: by the batch's own mean, also after the warm-up); the released code first scales each example
    by its own quadratic mean, which is left out here so that the map folds.

    Args:
        dim: Dimensions of an embedding.
        momentum: Weight of the newest batch in ``phi``.
        momentum_backward: Weight of the newest batch in ``nu``.
        warmup_steps: Batches before ``phi`` is the divisor; the paper's 10,000 are more than a whole run on a small
            data set.
        eps: Added to the quadratic mean.
        affine: Whether to learn ``weight`` and ``bias``; they start at one and zero.
        dead: Share of the median root up to which a dimension is dead.

    Raises:
        InputError: An option is out of range.
    """

    mixes_batch = True
    mixes_gradients = False  # ``nu`` comes from earlier batches
    reduces = "count, mean of squares; backward: mean of g z"
    loss_scale: Tensor
    nu: Tensor
    steps: Tensor

    def __init__(
        self,
        dim: int,
        *,
        momentum: float = 0.1,
        momentum_backward: float = 0.1,
        warmup_steps: int = 20,
        eps: float = 1e-5,
        affine: bool = True,
        dead: float = DEAD,
    ) -> None:
        super().__init__(dim)
        require_rate("momentum", momentum)
        require_rate("momentum_backward", momentum_backward)
        require_whole("warmup_steps", warmup_steps, least=0, advice="Give for example normalizer.warmup_steps=20")
        require_positive("eps", eps, advice="Give a small number such as normalizer.eps=1e-5")
        require_dead_share(dead)
        self.momentum, self.momentum_backward = momentum, momentum_backward
        self.warmup_steps, self.eps, self.dead_share = warmup_steps, eps, dead
        self.phi = RunningAverage(torch.ones(dim))
        self.register_buffer("nu", torch.zeros(dim, dtype=torch.float32))
        self.register_buffer("loss_scale", torch.ones((), dtype=torch.float32), persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.learn(weight=affine, bias=affine)

    def normalize(self, h: Tensor) -> Tensor:
        wide = h.to(statistics_dtype(h))
        running = self.phi.corrected().to(wide.dtype)
        if not self.training:
            return self.apply_affine(wide * self._scale(running)).to(h.dtype)
        with torch.no_grad():
            batch, count = global_mean(wide**2)
            warm = self.steps >= self.warmup_steps
            scale = self._scale(torch.where(warm, running, batch))
            usable = count > 0
            self.phi.update(batch, self.momentum * usable)
            self.steps += usable
        z = _PowerScale.apply(wide, scale, count, self.nu, self.loss_scale, self.momentum_backward)
        return self.apply_affine(z).to(h.dtype)

    def take_loss_scale(self, scale: Tensor) -> None:
        self.loss_scale.copy_(scale)

    def settle(self, h: Tensor) -> None:
        super().settle(h)
        self.steps.fill_(self.warmup_steps)

    def as_affine(self) -> tuple[Tensor, Tensor]:
        scale = self._scale(self.phi.corrected().double())
        return self.fold_affine(scale, torch.zeros_like(scale))

    def details(self) -> dict[str, Any]:
        """Returns which dimensions are dead by the running mean of squares."""
        return {"dead_dimensions": self._dead(self.phi.corrected()).nonzero().flatten().tolist()}

    def extra_repr(self) -> str:
        return f"momentum={self.momentum}, warmup_steps={self.warmup_steps}, eps={self.eps}, dead={self.dead_share}"

    def _scale(self, mean_square: Tensor) -> Tensor:
        return torch.where(self._dead(mean_square), 1.0, (mean_square + self.eps).rsqrt())

    def _dead(self, mean_square: Tensor) -> Tensor:
        return dead_dimensions(torch.zeros_like(mean_square), mean_square.sqrt(), share=self.dead_share)


class _PowerScale(torch.autograd.Function):
    """``scale * h``, whose backward pass subtracts the term with ``nu`` and updates ``nu`` in place.

    With several processes a gradient is that of one process's loss, of which DDP takes the mean over processes; under a
    gradient scaler it is scaled. So it is divided by both factors before ``nu`` is updated, and ``nu`` is multiplied by
    them before it is subtracted.
    """

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, scale: Tensor, count: Tensor, nu: Tensor, loss_scale: Tensor, momentum: float
    ) -> Tensor:
        z = h * scale
        ctx.save_for_backward(z, scale, count)
        ctx.nu, ctx.loss_scale, ctx.momentum = nu, loss_scale, momentum
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        z, scale, count = ctx.saved_tensors
        nu, factor = ctx.nu, world_size() * ctx.loss_scale.to(z.dtype)
        inner = gradients[0] - ctx.momentum * factor * nu.to(z.dtype) * z
        seen = all_reduce_sum((inner * z).sum(0)) / factor / count.clamp(min=1)
        nu += torch.where(seen.isfinite().all(), seen, 0.0).to(nu.dtype)
        return inner * scale, None, None, None, None, None
