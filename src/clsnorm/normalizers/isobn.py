"""IsoBN: scales down dimensions that are large and correlated with many others, without rotating or centring."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from clsnorm.errors import require_nonnegative, require_positive, require_whole
from clsnorm.normalizers.batch_statistics import RunningAverage, global_covariance, statistics_dtype
from clsnorm.normalizers.dead_dimensions import DEAD, dead_dimensions, require_dead_share
from clsnorm.normalizers.normalizer import Normalizer, require_rate


class _IsotropicScaling(Normalizer):
    """Base of both versions: ``z = t * h`` with ``t`` from running estimates of covariance and deviations."""

    mixes_batch = True
    mixes_gradients = False  # the scale counts as a constant
    idle_below = 2  # one row has no covariance
    reduces = "count, mean, covariance"

    def __init__(self, dim: int, *, momentum: float, eps: float, beta: float) -> None:
        super().__init__(dim)
        require_rate("momentum", momentum)
        require_positive("eps", eps, advice="Give a small number such as normalizer.eps=1e-3")
        require_nonnegative("beta", beta, advice="Give normalizer.beta=0.5")
        self.momentum = momentum
        self.eps = eps
        self.beta = beta

    @abstractmethod
    def update(self, h: Tensor) -> None:
        """Moves the running estimates toward those of the global batch, of which ``h`` is this process's part."""

    @abstractmethod
    def scale(self) -> Tensor:
        """Returns ``t``, ``(dim,)``."""

    def normalize(self, h: Tensor) -> Tensor:
        with torch.no_grad():
            if self.training:
                self.update(h)
            scale = self.scale()
        return h * scale.to(h.dtype)

    def largest_gain(self, h: Tensor) -> Tensor:
        """``max_i t_i``, for each example, as the backward pass takes ``t`` as a constant; always attained."""
        return self.scale().amax().to(h.dtype)

    def as_affine(self) -> tuple[Tensor, Tensor]:
        scale = self.scale().double()
        return scale, torch.zeros_like(scale)

    def scale_from(self, covariance: Tensor, deviation: Tensor) -> Tensor:
        """Returns ``t`` for a covariance ``(d, d)`` and standard deviations ``(d,)``; ones where nothing varies.

        With correlations ``r_ij = clip(cov_ij / (std_i std_j), -1, 1)`` and ``g_i = mean_j r_ij^2``:
        ``t_i = (g_i std_i + eps)^(-beta)``, then rescaled so that the total variance is unchanged up to ``eps``.
        Correlations with a dimension that does not vary count as zero.
        """
        norms = deviation[:, None] * deviation
        correlation = torch.where(norms == 0, 0.0, covariance / norms).clamp(-1, 1)
        scale = ((correlation**2).mean(1) * deviation + self.eps) ** -self.beta
        variance = covariance.diagonal()
        energy = variance.sum()
        restored = scale * (energy / ((variance * scale**2).sum() + self.eps)).sqrt()
        return torch.where(energy == 0, 1.0, restored)

    def extra_repr(self) -> str:
        return f"momentum={self.momentum}, eps={self.eps}, beta={self.beta}"


class IsoBN(_IsotropicScaling):
    """IsoBN (Zhou, Lin & Ren 2021, arXiv:2005.02178) with the defects of its released code fixed.

    ``z = t * h, t_i = a (g_i s_i + eps)^(-beta), g_i = mean_j r_ij^2``: ``s`` the running standard deviations, ``r``
    the running correlations, and ``a`` such that the total variance is unchanged (`scale_from`). The backward pass
    treats ``t`` as a constant. Differences from the released code (github.com/INK-USC/IsoBN, model.py), which is
    `IsoBNCompat` and the source of the formulas:

    - The running covariance is corrected for its start at zero, so early correlations are not inflated.
    - Standard deviations are the roots of its diagonal, so correlations are at most one.
    - The covariance is that of the global batch.
    - State is in buffers, and so in checkpoints.
    - For the first ``warmup_steps`` batches, and wherever nothing varies, the map is the identity instead of NaN.
    - A batch of one, which has no covariance, is skipped; a run whose batches all have one row is that of the identity.
    - A dead dimension (`dead_dimensions`) is not scaled.

    Args:
        dim: Dimensions of an embedding.
        momentum: Weight of the newest batch in the running covariance.
        eps: Added to ``g_i std_i``: of the size of that product where correlations are low, so it shapes ``t``.
        beta: Strength; 0 leaves the shape alone.
        warmup_steps: Batches before the scaling starts.
        dead: Share of the median standard deviation up to which a dimension is dead.

    Raises:
        InputError: ``momentum`` is not above 0 and at most 1, ``eps`` not positive, ``beta`` or ``warmup_steps``
            negative, or ``dead`` not between 0 and 0.5.
    """

    steps: Tensor

    def __init__(
        self,
        dim: int,
        *,
        momentum: float = 0.05,
        eps: float = 1e-3,
        beta: float = 0.5,
        warmup_steps: int = 20,
        dead: float = DEAD,
    ) -> None:
        super().__init__(dim, momentum=momentum, eps=eps, beta=beta)
        require_dead_share(dead)
        self.dead_share = dead
        require_whole("warmup_steps", warmup_steps, least=0, advice="Give for example normalizer.warmup_steps=20")
        self.warmup_steps = warmup_steps
        self.covariance = RunningAverage(torch.zeros(dim, dim))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def update(self, h: Tensor) -> None:
        _, covariance, count = global_covariance(h.to(statistics_dtype(h)))
        usable = count >= 2
        self.covariance.update(covariance, self.momentum * usable)
        self.steps += usable

    def scale(self) -> Tensor:
        covariance = self.covariance.corrected()
        deviation = covariance.diagonal().clamp(min=0).sqrt()
        ready = (self.steps > 0) & (self.steps >= self.warmup_steps)
        return torch.where(ready & ~self._dead(deviation), self.scale_from(covariance, deviation), 1.0)

    def settle(self, h: Tensor) -> None:
        super().settle(h)
        self.steps.fill_(max(1, self.warmup_steps))

    def details(self) -> dict[str, Any]:
        """Returns which dimensions are dead by the running covariance."""
        deviation = self.covariance.corrected().diagonal().clamp(min=0).sqrt()
        return {"dead_dimensions": self._dead(deviation).nonzero().flatten().tolist()}

    def _dead(self, deviation: Tensor) -> Tensor:
        return dead_dimensions(torch.zeros_like(deviation), deviation, share=self.dead_share)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, warmup_steps={self.warmup_steps}, dead={self.dead_share}"


class IsoBNCompat(_IsotropicScaling):
    """IsoBN exactly as released (github.com/INK-USC/IsoBN, model.py), early inflation of correlations included.

    ``z = t * h, t_i = a (g_i std_i + eps)^(-beta), g_i = mean_j clip(cov_ij / (std_i std_j), -1, 1)^2``, ``a`` such
    that the total variance is unchanged. ``cov += momentum (S_B - cov)`` and ``std += momentum (s_B - std)`` from zero,
    with the biased covariance and standard deviation of the batch. Three things differ, none of which matters in
    training on one process with dimensions that vary: the batch is the global one; the state is in checkpoints; where
    the released code gives NaN (evaluation before the first step, a dimension that never varied), `scale_from` defines
    a value.

    Args:
        dim: Dimensions of an embedding.
        momentum: Weight of the newest batch in the running estimates.
        eps: Added to ``g_i std_i``, and in the restoration of the total variance.
        beta: Strength; 0 leaves the shape alone.

    Raises:
        InputError: ``momentum`` is not above 0 and at most 1, ``eps`` not positive, ``beta`` negative.
    """

    cov: Tensor
    std: Tensor

    def __init__(self, dim: int, *, momentum: float = 0.05, eps: float = 1e-3, beta: float = 0.5) -> None:
        super().__init__(dim, momentum=momentum, eps=eps, beta=beta)
        self.register_buffer("cov", torch.zeros(dim, dim, dtype=torch.float32))
        self.register_buffer("std", torch.zeros(dim, dtype=torch.float32))

    def update(self, h: Tensor) -> None:
        _, covariance, _ = global_covariance(h)
        self.cov += self.momentum * (covariance.to(self.cov.dtype) - self.cov)
        self.std += self.momentum * (covariance.diagonal().sqrt().to(self.std.dtype) - self.std)

    @torch.no_grad()
    def settle(self, h: Tensor) -> None:
        _, covariance, _ = global_covariance(h)
        self.cov.copy_(covariance)
        self.std.copy_(covariance.diagonal().sqrt())

    def scale(self) -> Tensor:
        return self.scale_from(self.cov, self.std)
