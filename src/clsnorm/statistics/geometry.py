"""Pure functions from moments to numbers that say how biased and how isotropic embeddings are.

Each returns a float, and NaN where the quantity is undefined (all embeddings zero, or all equal).
"""

import math

from clsnorm.errors import InputError
from clsnorm.statistics.accumulators.moments import Moments


def centred_share(moments: Moments) -> float:
    """Returns the share of the mean in the mean square, ``||mu||^2 / E||h||^2``, in [0, 1].

    0: centred at the origin; 1: all embeddings equal. The mean of ``n`` embeddings is never exactly zero: for centred
    data the expected value is ``1/n``.
    """
    total = float(moments.mean_square.sum())
    return float((moments.mean**2).sum()) / total if total else math.nan


def top_energy_share(moments: Moments, k: int = 5) -> float:
    """Returns the share of the ``k`` dimensions with the largest mean square in the sum over all dimensions.

    ``k/dim`` if every dimension has the same; 1 if all the energy lies in at most ``k`` dimensions.

    Raises:
        InputError: ``k`` is not between 1 and the number of dimensions.
    """
    if not 1 <= k <= moments.dim:
        raise InputError(f"Expected argument `k` to be between 1 and {moments.dim} dimensions, but got {k}")
    energy = moments.mean_square
    total = float(energy.sum())
    return float(energy.topk(k).values.sum()) / total if total else math.nan


def participation_ratio(moments: Moments) -> float:
    """Returns ``tr(S)^2 / ||S||_F^2`` of the covariance ``S``: the number of directions that share the variance.

    Between 1 and ``dim``. For ``n`` samples of an isotropic Gaussian it is about ``dim * n / (dim + n)``: compare
    values of equal ``n`` only.
    """
    covariance = moments.covariance
    # Scaling first: the squares of very small or very large covariances would leave the range of floats.
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
