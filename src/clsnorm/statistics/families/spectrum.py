"""How many directions share the variance, and how evenly: numbers of the eigenvalues, largest first.

Formulas of eigenvalues alone take them as ``(dim,)`` and return NaN where all are zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from clsnorm.statistics import geometry
from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.eigenvalues import resolved
from clsnorm.statistics.noise import noise_directions, noise_eigenvalues, noise_uncentred_eigenvalues
from clsnorm.statistics.noise_draws import eigenvalue_draws, uncentred_eigenvalue_draws, wishart_traces
from clsnorm.statistics.null_distribution import Simulated
from clsnorm.statistics.ratios import ratio
from clsnorm.statistics.statistic import ELEMENTARY, largest, statistic

ISOSCORE = "IsoScore, Rudman et al., 2022 (arXiv:2108.07344), which this closed form equals"


def eigenvalues(s: Snapshot) -> Tensor:
    """Returns the eigenvalues of the covariance, ``(dim,)``."""
    return s.eigenvalues


def uncentred_eigenvalues(s: Snapshot) -> Tensor:
    """Returns the eigenvalues of ``E[h h^T]``, ``(dim,)``."""
    return s.second_moment_eigenvalues


def drawn_by_traces(s: Snapshot, formula: Callable[[float, float], float]) -> Simulated:
    """Returns draws of a number of ``tr(S)`` and ``||S||_F^2`` that does not depend on the scale of S."""
    return Simulated([formula(*map(float, pair)) for pair in zip(*wishart_traces(s.dim, s.count - 1), strict=True)])


def explained(values: Tensor, k: int) -> float:
    """Returns the share of the ``k`` largest eigenvalues in their sum, ``sum_{i<=k} l_i / tr S``."""
    total = float(values.sum())
    return float(values[:k].sum()) / total if total > 0 else math.nan


for k in (1, 2, 3, 5, 10):
    statistic(
        f"spectrum/explained_{k}",
        unit="share",
        source="as scikit-learn's PCA.explained_variance_ratio_",
        of=eigenvalues,
        null_of=noise_eigenvalues,
        drawn_of=eigenvalue_draws,
        meaning=f"Share of the {largest(k, 'principal component')} in the variance.",
    )(partial(explained, k=k))


@statistic(
    "spectrum/participation_ratio",
    unit="count",
    source="Gao et al., 2017",
    null=lambda s: noise_directions(s.dim, s.count - 1),
    distribution=lambda s: drawn_by_traces(s, lambda trace, square: trace**2 / square),
)
def participation_ratio(s: Snapshot) -> float:
    """Number of directions that share the variance, tr(S)² / ||S||²."""
    return geometry.participation_ratio(s.moments)


def corrected(trace: float, square: float, m: int) -> float:
    """Returns `corrected_participation_ratio` from ``tr(S)`` and ``||S||_F^2``, for m degrees of freedom."""
    below = m * (square - trace**2 / m)
    return ratio((m + 1) * trace**2 - 2 * square, below) if below > 0 else math.nan


@statistic(
    "spectrum/participation_ratio_corrected",
    unit="count",
    source="Srivastava, 2005, for the two traces",
    null=lambda s: float(s.dim),
    distribution=lambda s: drawn_by_traces(s, lambda trace, square: corrected(trace, square, s.count - 1)),
    formerly="spectrum/participation_ratio_unbiased",
)
def corrected_participation_ratio(s: Snapshot) -> float:
    """Participation ratio, corrected for the number of rows if these are normal; too small for heavy tails.

    ``tr(S)^2 / tr(S^2)`` from estimates of both that are unbiased for a normal distribution; their ratio is nearly so.
    Heavy tails raise ``||S||_F^2`` and so lower it: 300 rows of an isotropic t distribution of 60 dimensions give 46
    with 5 degrees of freedom, and 32 with 3. With S of divisor ``n - 1`` and ``m = n - 1``:
    ``tr(S^2) ~ m^2 / ((m + 2)(m - 1)) (||S||_F^2 - tr(S)^2 / m)`` and
    ``tr(S)^2 ~ m / ((m + 2)(m - 1)) ((m + 1) tr(S)^2 - 2 ||S||_F^2)``.
    """
    m = s.count - 1
    if m < 2:
        return math.nan
    scatter = s.covariance * (s.count / m)
    return corrected(float(scatter.trace()), float(scatter.square().sum()), m)


def directions(values: Tensor) -> float:
    """Returns the participation ratio of eigenvalues; NaN if all are zero."""
    return ratio(float(values.sum()) ** 2, float(values.square().sum()))


def score(number: float, dim: int) -> float:
    """Returns IsoScore from the participation ratio; NaN in one dimension."""
    return (number - 1) / (dim - 1) if dim > 1 else math.nan


@statistic(
    "spectrum/isoscore",
    unit="share",
    source=ISOSCORE,
    null=lambda s: score(noise_directions(s.dim, s.count - 1), s.dim),
    alias="isoscore",
    distribution=lambda s: drawn_by_traces(s, lambda trace, square: score(trace**2 / square, s.dim)),
)
def isoscore(s: Snapshot) -> float:
    """IsoScore, (participation ratio - 1) / (d - 1): 0 if one direction has all the variance, 1 if isotropic."""
    return geometry.isoscore(s.moments)


def null_isoscore_star(s: Snapshot, *, zeta: float = 0.2) -> float:
    """IsoScore* of noise: of ``(1 - zeta) l_i + zeta`` with l the eigenvalues of noise over their mean."""
    square = (1 - zeta) ** 2 * s.dim / noise_directions(s.dim, s.count - 1) + 1 - (1 - zeta) ** 2
    return score(s.dim / square, s.dim)


@statistic(
    "spectrum/isoscore_star",
    unit="share",
    source="I-STAR, Rudman and Eickhoff, 2024 (arXiv:2305.19358)",
    of=eigenvalues,
    null=null_isoscore_star,
    drawn_of=eigenvalue_draws,
    meaning="IsoScore* with zeta 0.2: IsoScore of 0.8 S + 0.2 C0 with C0 = tr(S)/d I, so that the unit of the "
    "embeddings does not matter; the published function takes any C0, usually I.",
)
def isoscore_star(values: Tensor, *, zeta: float = 0.2) -> float:
    """IsoScore of ``(1 - zeta) S + zeta C0`` with ``C0 = I tr(S)/d``, which is stable for few rows.

    The published ``IsoScore_star`` takes ``C0`` from the user, usually the identity. With the identity the score
    depends on the unit of the embeddings: doubling them changes it. Here ``C0`` has the trace of S, so it does not.
    Given the same ``C0`` (and S with divisor n - 1, as there) the two are equal.
    """
    return score(directions((1 - zeta) * values + zeta * values.mean()), len(values))


@statistic(
    "spectrum/effective_rank",
    unit="count",
    source="Roy and Vetterli, 2007",
    of=eigenvalues,
    null_of=noise_eigenvalues,
    drawn_of=eigenvalue_draws,
    alias="effective_rank",
)
def effective_rank(values: Tensor) -> float:
    """Exponential of the entropy of the eigenvalues' shares, exp(-sum p log p): from 1 to the dimension.

    Example:
        >>> round(effective_rank(torch.ones(8, dtype=torch.float64)), 6)
        8.0
    """
    total = values.sum()
    if float(total) <= 0:
        return math.nan
    share = values / total
    return float(torch.special.entr(share).sum().exp())


@statistic(
    "spectrum/rankme",
    unit="count",
    source="Garrido et al., 2023 (arXiv:2210.02885)",
    of=uncentred_eigenvalues,
    null_of=noise_uncentred_eigenvalues,
    drawn_of=uncentred_eigenvalue_draws,
)
def rankme(values: Tensor) -> float:
    """RankMe: the effective rank of the embeddings' singular values, not centred.

    The singular values are the roots of ``n`` times the eigenvalues of ``E[h h^T]``; ``n`` cancels. The published eps
    of 1e-7 is left out: ``p log p`` is 0 at 0. Eigenvalues that are rounding noise count as 0: see `resolved`.

    References:
        RankMe, https://arxiv.org/abs/2210.02885
    """
    return effective_rank(resolved(values).sqrt())


@statistic(
    "spectrum/stable_rank",
    unit="count",
    source=ELEMENTARY,
    of=eigenvalues,
    null_of=noise_eigenvalues,
    drawn_of=eigenvalue_draws,
)
def stable_rank(values: Tensor) -> float:
    """Trace of the covariance over its largest eigenvalue, tr(S) / l_1."""
    return float(values.sum() / values[0]) if float(values[0]) > 0 else math.nan


@statistic(
    "spectrum/condition",
    unit="ratio",
    source=ELEMENTARY,
    of=eigenvalues,
    null_of=noise_eigenvalues,
    drawn_of=eigenvalue_draws,
    meaning="Largest over smallest eigenvalue of the covariance.",
)
def condition_number(values: Tensor) -> float:
    """Largest over smallest eigenvalue, l_1 / l_d; infinite if the smallest is zero to float precision."""
    if float(values[0]) <= 0:
        return math.nan
    return float(values[0] / values[-1]) if len(resolved(values)) == len(values) else math.inf


statistic(
    "spectrum/condition_uncentred",
    unit="ratio",
    source=ELEMENTARY,
    of=uncentred_eigenvalues,
    null_of=noise_uncentred_eigenvalues,
    drawn_of=uncentred_eigenvalue_draws,
    meaning="Largest over smallest eigenvalue of E[h hᵀ], the curvature of a linear head.",
)(condition_number)


@statistic(
    "spectrum/slope",
    unit="ratio",
    source=ELEMENTARY,
    of=eigenvalues,
    null_of=noise_eigenvalues,
    drawn_of=eigenvalue_draws,
    meaning="Exponent of the eigenvalues' power law, by least squares on logarithms, without the last tenth.",
)
def slope(values: Tensor) -> float:
    """Exponent of a power law ``l_i ~ i^-slope``, by least squares on logarithms of the positive eigenvalues.

    The last tenth is left out, where finite samples bend the spectrum.
    """
    positive = resolved(values)
    kept = positive[: max(2, math.ceil(0.9 * len(positive)))].log()
    if len(kept) < 2:
        return math.nan
    rank = torch.arange(1, len(kept) + 1, dtype=kept.dtype).log()
    centred = rank - rank.mean()
    return -float((centred * kept).sum() / centred.square().sum())
