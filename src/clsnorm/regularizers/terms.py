"""Terms that make embeddings more, or less, isotropic: I-STAR, CosReg, and those of VICReg."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from clsnorm.distributed import all_reduce_sum, differentiable_all_reduce_sum
from clsnorm.errors import require_between, require_choice, require_positive
from clsnorm.normalizers.batch_statistics import RunningAverage, global_covariance
from clsnorm.normalizers.normalizer import require_rate
from clsnorm.regularizers.regularizer import Regularizer

TARGETS = ("running", "identity", "scaled_identity")


def isoscore_of(covariance: Tensor) -> Tensor:
    r"""Returns IsoScore of a covariance matrix, ``()``, differentiably.

    :math:`\left( \frac{(\mathrm{tr}\, C)^2}{\|C\|_F^2} - 1 \right) / (d - 1)`: the published formula in the eigenvalues
    (Rudman et al., 2022) equals this, and needs no eigenvalues. 0: one direction has all the variance; 1: isotropic.
    """
    ratio = covariance.trace() ** 2 / (covariance**2).sum()
    return (ratio - 1) / (len(covariance) - 1)


def unbiased_covariance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the covariance ``(d, d)`` of the rows of all processes, divided by their number less one, and the number.

    With fewer than two rows it is not finite.
    """
    _, covariance, count = global_covariance(x)
    return covariance * (count / (count - 1)), count


class IStar(Regularizer):
    r"""I-STAR: ``1 - IsoScore*(x)``, with ``weight`` above 0 for more isotropy, below 0 for less.

    IsoScore* is `isoscore_of` the shrunk covariance :math:`(1 - \zeta) C + \zeta C_0`, with :math:`C` that of the batch
    (divided by n - 1). Rudman and Eickhoff, 2024, "Stable Anisotropic Regularization", ICLR, arXiv:2305.19358; the
    formula and its gradient equal those of the released code (github.com/bcbi-edu/p_eickhoff_isoscore,
    ``I-STAR/regularizers.py``).

    The released code takes for :math:`C_0` the covariance of a sample of training tokens, recomputed before each
    epoch with dropout off, and for ``points`` all tokens of all layers. Here ``running`` is the exponential average of
    the covariances of earlier batches, a constant in the backward pass and part of checkpoints; the points are [CLS]
    only. The covariance of B examples has rank B - 1, and IsoScore* is then at most about
    :math:`B / d` for a small :math:`\zeta`: compare values at equal batch size only.

    Args:
        weight: :math:`\lambda`; the released script for SST-2 uses -5.
        at: See `Regularizer`; the paper uses the union of all layers.
        zeta: Share of :math:`C_0`; 0: none, so this is IsoScore.
        target: ``running``; ``identity``, which depends on the unit of the embeddings; or ``scaled_identity``,
            :math:`\mathrm{tr}(C)/d \cdot I`, as in the statistic ``spectrum/isoscore_star``.
        momentum: Weight of the newest batch in the running covariance.

    Raises:
        InputError: An option is out of range.
    """

    def __init__(
        self,
        dim: int,
        *,
        weight: float = 1.0,
        at: str = "h",
        zeta: float = 0.2,
        target: str = "running",
        momentum: float = 0.05,
    ) -> None:
        super().__init__(weight=weight, at=at)
        require_between("regularizer.zeta", zeta, 0, 1, advice="Set regularizer.zeta=0.2")
        require_choice("regularizer.target", target, TARGETS)
        require_rate("momentum", momentum)
        self.zeta, self.target, self.momentum = zeta, target, momentum
        if target == "running":
            self.running = RunningAverage(torch.zeros(dim, dim))

    def term(self, x: Tensor) -> Tensor:
        covariance, count = unbiased_covariance(x)
        self.require_rows(x, count)
        return 1 - isoscore_of((1 - self.zeta) * covariance + self.zeta * self._shrunk_to(covariance))

    def _shrunk_to(self, covariance: Tensor) -> Tensor:
        """Returns :math:`C_0`; updates the running covariance, of which the first batch is its own average."""
        eye = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
        if self.target == "identity":
            return eye
        if self.target == "scaled_identity":
            return eye * covariance.trace() / len(covariance)
        if self.training:
            self.running.update(covariance, self.momentum)
        return self.running.corrected().to(covariance.dtype)


class CosReg(Regularizer):
    r"""The mean cosine of two different examples: :math:`\frac{1}{n (n - 1)} \sum_{i \ne j} \cos(x_i, x_j)`.

    Gao et al., 2019, "Representation Degeneration Problem", arXiv:1907.12009. The released code of I-STAR divides by
    :math:`n^2` instead, which gives :math:`(n - 1)/n` of this. The cosine of an embedding of length 0 is 0.

    Args:
        weight: Factor of the term, above 0 to push embeddings apart.
        at: See `Regularizer`.
    """

    def __init__(self, dim: int, *, weight: float = 1.0, at: str = "h") -> None:
        super().__init__(weight=weight, at=at)

    def term(self, x: Tensor) -> Tensor:
        count = all_reduce_sum(x.new_tensor(float(len(x))))
        self.require_rows(x, count)
        directions = F.normalize(x, eps=torch.finfo(x.dtype).tiny)
        total = differentiable_all_reduce_sum(directions.sum(0))
        own = differentiable_all_reduce_sum((directions**2).sum())
        return ((total**2).sum() - own) / (count * (count - 1))


class VICReg(Regularizer):
    r"""Covariance and variance terms of VICReg, on one view: decorrelated dimensions that all vary.

    .. math:: \frac{1}{d} \sum_{i \ne j} C_{ij}^2
        + v \, \frac{1}{d} \sum_j \max\left(0, \gamma - \sqrt{C_{jj} + \epsilon}\right)

    with :math:`C` the covariance of the batch, divided by n - 1. Bardes, Ponce and LeCun, 2022, arXiv:2105.04906,
    and their code (``cov_loss``, ``std_loss``). The covariance term alone falls if all embeddings shrink; the hinge
    prevents this.

    Args:
        weight: Factor of the whole term.
        at: See `Regularizer`.
        variance: :math:`v`, factor of the hinge; 0: without it. The paper has 25.
        gamma: Smallest standard deviation without a penalty.
        eps: Added to variances.

    Raises:
        InputError: An option is out of range.
    """

    def __init__(
        self,
        dim: int,
        *,
        weight: float = 1.0,
        at: str = "h",
        variance: float = 0.0,
        gamma: float = 1.0,
        eps: float = 1e-4,
    ) -> None:
        super().__init__(weight=weight, at=at)
        require_between("regularizer.variance", variance, 0, float("inf"), advice="Set regularizer.variance=0")
        require_positive("regularizer.gamma", gamma, advice="Set regularizer.gamma=1")
        require_positive("regularizer.eps", eps, advice="Set regularizer.eps=1e-4")
        self.variance, self.gamma, self.eps = variance, gamma, eps

    def term(self, x: Tensor) -> Tensor:
        covariance, count = unbiased_covariance(x)
        self.require_rows(x, count)
        variances = covariance.diagonal()
        squares = ((covariance**2).sum() - (variances**2).sum()) / len(variances)
        if self.variance == 0:
            return squares
        return squares + self.variance * (self.gamma - (variances + self.eps).sqrt()).clamp(min=0).mean()
