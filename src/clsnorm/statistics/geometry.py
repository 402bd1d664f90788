"""How far embeddings are from centred and from isotropic, from their `Moments`.

Each function returns a float; NaN where the quantity is undefined (all embeddings zero, or all equal).
"""

import math

from clsnorm.statistics.accumulators.moments import Moments


def centred_share(moments: Moments) -> float:
    """Returns the share of the mean in the mean square, ``||mu||^2 / E||h||^2``, in [0, 1].

    0: centred at the origin; 1: all embeddings equal. The mean of ``n`` embeddings is never exactly zero: for centred
    data the expected value is ``1/n``.
    """
    total = float(moments.mean_square.sum())
    return float((moments.mean**2).sum()) / total if total else math.nan


def participation_ratio(moments: Moments) -> float:
    """Returns ``tr(S)^2 / ||S||_F^2`` of the covariance ``S``: the number of directions that share the variance.

    Between 1 and ``dim``. For ``n`` samples of an isotropic Gaussian it is about ``dim * n / (dim + n)``, so only
    values of equal ``n`` compare.
    """
    covariance = moments.covariance
    # Scale first: squares of very small or very large covariances would under- or overflow.
    scale = float(covariance.diagonal().max())
    if scale == 0 or math.isnan(scale):
        return math.nan
    covariance = covariance / scale
    return float(covariance.trace() ** 2 / (covariance**2).sum())


def isoscore(moments: Moments) -> float:
    """Returns IsoScore, ``(participation ratio - 1) / (dim - 1)``: 0 one direction, 1 isotropic.

    The closed form equals the published definition by eigenvalues (Rudman et al., Findings of ACL 2022); NaN in one
    dimension.
    """
    if moments.dim == 1:
        return math.nan
    return (participation_ratio(moments) - 1) / (moments.dim - 1)
