"""Dead dimensions: those that hardly vary, which no map may blow up to unit size. One rule for all normalizers."""

import torch
from torch import Tensor

from clsnorm.errors import require_between

DEAD = 1e-3  # share of the median spread: such a dimension has a millionth of the variance of an ordinary one


def dead_dimensions(center: Tensor, spread: Tensor, *, share: float = DEAD) -> Tensor:
    """Returns which dimensions are dead, in the shape of ``spread``, bool.

    A dimension is dead if its spread is at most the float32 resolution of its centre, ``2^-23 |center|``, or at most
    ``share`` times the median spread of the dimensions above that resolution. The median, because a few outlier
    dimensions would move a mean or a maximum. If nothing varies, all are dead; a NaN is not.

    Some encoders have dimensions that a layer norm with a scale of almost zero makes constant but for noise. A map that
    divides by their spread turns that noise into a signal, and multiplies the gradient that reaches the encoder by
    thousands. So a dead dimension is left out: centred if the map centres, but not scaled.

    Args:
        center: Means or medians, ``(..., dim)``.
        spread: Standard deviations or ranges, ``(..., dim)``, at least 0.
        share: Of the median spread; with 0, only what float32 cannot resolve is dead.
    """
    noise = torch.finfo(torch.float32).eps * center.abs()
    varies = spread > noise
    ordered = torch.where(varies, spread, torch.inf).sort(-1).values
    middle = (varies.sum(-1, keepdim=True) - 1).clamp(min=0) // 2
    # Not the opposite of "larger": a NaN is neither, and must not be hidden.
    return (spread <= noise) | (spread <= share * ordered.gather(-1, middle))


def dead_by_variance(mean: Tensor, variance: Tensor, share: float) -> Tensor:
    """Returns which dimensions are dead by these statistics, bool."""
    return dead_dimensions(mean.detach(), variance.detach().sqrt(), share=share)


def isolate_dead(covariance: Tensor, lifeless: Tensor) -> Tensor:
    """Returns covariances in which dead dimensions are uncorrelated, with the mean variance of the others.

    So the trace, by which Newton's iteration is scaled, stays that of ordinary dimensions.
    """
    living = ~lifeless
    variances = covariance.diagonal(dim1=-2, dim2=-1)
    mean = torch.where(living, variances, 0.0).sum(-1, keepdim=True) / living.sum(-1, keepdim=True).clamp(min=1)
    filling = torch.where(living.any(-1, keepdim=True), mean, 1.0) * lifeless
    return torch.where(living[..., None] & living[..., None, :], covariance, 0.0) + torch.diag_embed(filling)


def pass_dead(whitener: Tensor, lifeless: Tensor) -> Tensor:
    """Returns matrices that leave dead dimensions as they are."""
    living = ~lifeless
    kept = torch.where(living[..., None] & living[..., None, :], whitener, 0.0)
    return kept + torch.diag_embed(lifeless.to(whitener.dtype))


def require_dead_share(value: object) -> None:
    """Raises `InputError` unless ``value``, the option ``dead``, is a share of the median spread, from 0 to 0.5."""
    require_between("dead", value, 0, 0.5, advice="Give a small number such as normalizer.dead=1e-3")
