"""Batch renormalization: batch statistics corrected toward the running ones."""

from typing import Any

import torch
from torch import Tensor

from clsnorm.errors import require_between, require_positive, require_whole
from clsnorm.normalizers.batch_statistics import (
    RunningAverage,
    global_variance,
    largest_slope,
    require_batch,
    statistics_dtype,
)
from clsnorm.normalizers.dead_dimensions import DEAD, dead_by_variance, require_dead_share
from clsnorm.normalizers.normalizer import Normalizer, require_rate


class BatchRenorm(Normalizer):
    """``z = ((h - mean_B) / s_B * r + q) * weight + bias``, corrected toward the running statistics ``mean``, ``s``.

    ``r = clip(s_B / s, 1/r_max, r_max)`` and ``q = clip((mean_B - mean) / s, -q_max, q_max)`` count as constants. So
    where nothing is clipped, the output is that of evaluation and the gradient that of batch normalization. For the
    first ``warmup_steps`` batches ``r = 1`` and ``q = 0``, as in `BatchNorm`. Ioffe 2017 (arXiv:1702.03275). Running
    statistics are corrected for their start at zero, and read before they are updated with the current batch. The
    running variance is the biased one, so that ``r`` is one if all batches agree.

    Args:
        dim: Dimensions of an embedding.
        r_max: Bound of ``r``, at least 1.
        q_max: Bound of ``|q|``.
        warmup_steps: Batches before the correction starts.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
        affine: Whether to learn ``weight`` and ``bias``; they start at one and zero.
        dead: See `clsnorm.normalizers.dead_dimensions`: such a dimension is centred and not scaled.

    Raises:
        InputError: An option is out of range. In training: the global batch is a single example.
    """

    mixes_batch = True
    min_batch_size = 2
    reduces = "count, mean, variance"
    steps: Tensor

    def __init__(
        self,
        dim: int,
        *,
        r_max: float = 3.0,
        q_max: float = 5.0,
        warmup_steps: int = 20,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        dead: float = DEAD,
    ) -> None:
        super().__init__(dim)
        require_dead_share(dead)
        self.dead = dead
        require_between("r_max", r_max, 1, float("inf"), advice="Give for example normalizer.r_max=3")
        require_between("q_max", q_max, 0, float("inf"), advice="Give for example normalizer.q_max=5")
        require_whole("warmup_steps", warmup_steps, least=0, advice="Give for example normalizer.warmup_steps=20")
        require_positive("eps", eps, advice="Give a small number such as normalizer.eps=1e-5")
        require_rate("momentum", momentum)
        self.r_max, self.q_max, self.warmup_steps, self.eps, self.momentum = r_max, q_max, warmup_steps, eps, momentum
        self._last_slope: Tensor | None = None
        self.running_mean = RunningAverage(torch.zeros(dim))
        self.running_var = RunningAverage(torch.ones(dim))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.learn(weight=affine, bias=affine)

    def normalize(self, h: Tensor) -> Tensor:
        wide = h.to(statistics_dtype(h))
        running_mean, running_deviation = self._running()
        if not self.training:
            self._last_slope = running_deviation.reciprocal()
            return self.apply_affine((wide - running_mean) / running_deviation).to(h.dtype)
        mean, variance, count = global_variance(wide)
        require_batch(len(h), count, self.min_batch_size)
        deviation = self._deviation(mean, variance)
        r, q = self._correction(mean.detach(), deviation.detach(), running_mean, running_deviation)
        self.running_mean.update(mean, self.momentum)
        self.running_var.update(variance, self.momentum)
        self.steps += 1
        self._last_slope = (r / deviation).detach()
        return self.apply_affine((wide - mean) / deviation * r + q).to(h.dtype)

    def settle(self, h: Tensor) -> None:
        super().settle(h)
        self.steps.fill_(self.warmup_steps)

    def largest_gain(self, h: Tensor) -> Tensor | None:
        """The largest ``|weight_i| r_i / s_i``, for the whole batch; attained with more than two examples."""
        return largest_slope(self.weight, self._last_slope, h)

    def as_affine(self) -> tuple[Tensor, Tensor]:
        mean, deviation = self._running()
        return self.fold_affine(deviation.double().reciprocal(), -mean.double() / deviation.double())

    def _running(self) -> tuple[Tensor, Tensor]:
        mean, variance = self.running_mean.corrected(), self.running_var.corrected()
        return mean, self._deviation(mean, variance)

    def _deviation(self, mean: Tensor, variance: Tensor) -> Tensor:
        return torch.where(dead_by_variance(mean, variance, self.dead), 1.0, (variance + self.eps).sqrt())

    def details(self) -> dict[str, Any]:
        lifeless = dead_by_variance(self.running_mean.corrected(), self.running_var.corrected(), self.dead)
        return super().details() | {"dead_dimensions": lifeless.nonzero().flatten().tolist()}

    def _correction(
        self, mean: Tensor, deviation: Tensor, running_mean: Tensor, running_deviation: Tensor
    ) -> tuple[Tensor, Tensor]:
        r = (deviation / running_deviation).clamp(1 / self.r_max, self.r_max)
        q = ((mean - running_mean) / running_deviation).clamp(-self.q_max, self.q_max)
        warm = self.steps >= self.warmup_steps
        return torch.where(warm, r, 1.0), torch.where(warm, q, 0.0)

    def extra_repr(self) -> str:
        return f"r_max={self.r_max}, q_max={self.q_max}, warmup_steps={self.warmup_steps}"
