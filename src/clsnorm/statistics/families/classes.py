"""How far the class means lie apart, compared with the spread within classes, and along which directions.

``S_B`` and ``S_W`` are the scatters between and within classes (`ClassScatter`), C the classes that have rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.families.cosine import average_cosine
from clsnorm.statistics.null_distribution import NullDistribution, Simulated
from clsnorm.statistics.outlier_dimensions import outliers
from clsnorm.statistics.random_labels import RandomLabels
from clsnorm.statistics.ratios import ratio
from clsnorm.statistics.statistic import ELEMENTARY, statistic

SHRINKAGE = 0.01  # of the scatter within classes in classes/separability
PAPYAN = "Papyan, Han and Donoho, 2020 (arXiv:2008.08186)"


def permuted(
    number: Callable[[RandomLabels, Snapshot], Tensor], *, least: int = 2
) -> Callable[[Snapshot], NullDistribution]:
    """Returns the distribution of a number of `RandomLabels`.

    Undefined if all rows are equal, each row has a class of its own, or there are fewer than ``least`` classes.
    """

    def distribution(s: Snapshot) -> NullDistribution:
        varies = float(s.covariance.trace()) > 0 and least <= s.between.number < s.count
        return Simulated(number(s.random_labels, s) if varies else [math.nan])

    return distribution


def null_fisher_ratio(s: Snapshot) -> float:
    """``(C - 1) / (n - C)`` with the classes that have rows."""
    classes = s.between.number
    return ratio(classes - 1, s.count - classes)


@statistic(
    "classes/fisher_ratio",
    unit="ratio",
    source="Fisher, 1936",
    null=null_fisher_ratio,
    distribution=permuted(lambda labels, s: labels.fisher_ratio()),
)
def fisher_ratio(s: Snapshot) -> float:
    """Variance between classes over variance within, tr(S_B) / tr(S_W)."""
    within = float(s.between.within.diagonal().clamp(min=0).sum())
    return float(s.between.between.trace()) / within if within > 0 else math.nan


@statistic(
    "classes/calinski_harabasz",
    unit="ratio",
    source="Calinski and Harabasz, 1974",
    null=lambda s: 1.0,
    distribution=permuted(lambda labels, s: labels.fisher_ratio() * (labels.n - labels.number) / (labels.number - 1)),
)
def calinski_harabasz(s: Snapshot) -> float:
    """Fisher ratio over its degrees of freedom, (tr(S_B) / (C - 1)) / (tr(S_W) / (n - C))."""
    n, number = s.between.n, s.between.number
    if number < 2 or n <= number:
        return math.nan
    return fisher_ratio(s) * (n - number) / (number - 1)


def over_within(scatter: Tensor, within: Tensor, shrinkage: float) -> float:
    """Returns ``tr(shrunk^-1 scatter)`` with ``S_W`` shrunk to ``(1 - a) S_W + a tr(S_W)/d I``."""
    dim = len(within)
    level = float(within.trace()) / dim
    if not level > 0:
        return math.nan
    shrunk = (1 - shrinkage) * within + shrinkage * level * torch.eye(dim, dtype=within.dtype)
    return float(torch.linalg.solve(shrunk, scatter).trace())


def null_separability(s: Snapshot, *, shrinkage: float = SHRINKAGE) -> float:
    """Mean over random labels, to second order; defined for any number of rows, also for fewer than dimensions.

    Labels at random leave the covariance S of all rows as it is, and ``S_W = S - S_B``. With ``w = l / D``,
    ``D = (1 - a) l + a tr(S_W) / d``, of the ``m = n - 1`` eigenvalues l of S (zeros among them), a labelling gives a
    matrix G of ``C - 1`` random directions with mean t, that of w, and the number is ``tr((1 - (1 - a) G)^-1 G)``.
    """
    m, between = s.count - 1, s.between.number - 1
    level = shrinkage * float(s.covariance.trace()) * (m - between) / (m * s.dim)
    if not level > 0:
        return math.nan
    weights = s.eigenvalues / ((1 - shrinkage) * s.eigenvalues + level)
    mean, square = float(weights.sum()) / m, float(weights.square().sum()) / m
    rest, spread = 1 - (1 - shrinkage) * mean, (between + 1) / (m + 2) * (square - mean**2)
    return between * (mean / rest + (1 - shrinkage) * spread / rest**3)


@statistic(
    "classes/separability",
    unit="ratio",
    source="Rao, 1948",
    null=null_separability,
    conditional=True,
    distribution=permuted(lambda labels, s: labels.separability(shrinkage=SHRINKAGE)),
)
def separability(s: Snapshot, *, shrinkage: float = SHRINKAGE) -> float:
    """Linear discriminant analysis, tr(S_W⁻¹ S_B), with S_W shrunk by 1 %."""
    return over_within(s.between.between, s.between.within, shrinkage)


@statistic("classes/nc1", unit="ratio", source=PAPYAN, distribution=permuted(lambda labels, s: labels.nc1()))
def nc1(s: Snapshot) -> float:
    """Within-class variability collapse, tr(S_W S_B⁺) / C: 0 if classes are points.

    Classes have uniform weights in this ``S_B``.

    References:
        Papyan, Han and Donoho, 2020, https://arxiv.org/abs/2008.08186
    """
    offsets = s.between.simplex()
    if not len(offsets):
        return math.nan
    between = offsets.T @ offsets / s.between.number
    inverse = torch.linalg.pinv(between, hermitian=True, rtol=1e-10)
    return float((s.between.within @ inverse).trace()) / s.between.number


@statistic(
    "classes/nc2_norms",
    unit="ratio",
    source=PAPYAN,
    distribution=permuted(lambda labels, s: labels.nc2_norms(), least=3),
)
def nc2_norms(s: Snapshot) -> float:
    """Coefficient of variation of the centred class means' norms: 0 if they are equinorm; needs three classes.

    NaN with two classes, whose centred means are always equinorm and opposite.
    """
    norms = s.between.simplex().norm(dim=1)
    return float(norms.std(correction=0) / norms.mean()) if len(norms) > 2 else math.nan


@statistic(
    "classes/nc2_angles",
    unit="cosine",
    source=PAPYAN,
    distribution=permuted(lambda labels, s: labels.nc2_angles(), least=3),
)
def nc2_angles(s: Snapshot) -> float:
    """Mean |cos + 1/(C-1)| over pairs of centred class means: 0 if they form a simplex; needs three classes.

    NaN with two classes, which always form one.
    """
    units = torch.nn.functional.normalize(s.between.simplex(), dim=1)
    cosines = units @ units.T
    rows, columns = torch.triu_indices(len(units), len(units), offset=1)
    return float((cosines[rows, columns] + 1 / (s.between.number - 1)).abs().mean()) if len(units) > 2 else math.nan


def share_within(scatter: Tensor, basis: Tensor) -> float:
    """Returns the share of ``tr S`` in the subspace of an orthonormal ``basis``, ``(dim, k)``."""
    total = float(scatter.trace())
    return float((scatter @ basis * basis).sum()) / total if total > 0 else math.nan


Basis = Callable[[Snapshot], Tensor]


def along(name: str) -> Callable[[Basis], Basis]:
    """Registers the share of the scatter between classes in the subspace of an orthonormal basis ``(dim, k)``.

    The null is the share of the scatter of all rows, as random labels scatter. That averages numerator and denominator
    over labels; the mean of the share itself is somewhat smaller where it is large.
    """

    def register(basis: Basis) -> Basis:
        statistic(
            f"classes/{name}",
            unit="share",
            source=ELEMENTARY,
            null=lambda s: share_within(s.covariance, basis(s)),
            meaning=(basis.__doc__ or "").partition("\n")[0],
            conditional=True,
            distribution=permuted(lambda labels, s: labels.share_within(basis(s))),
        )(lambda s: share_within(s.between.between, basis(s)))
        return basis

    return register


@along("along_mean")
def along_mean(s: Snapshot) -> Tensor:
    """Share of the variance between classes along the mean."""
    return s.mean[:, None] / s.mean.norm()


@along("along_first_component")
def along_first_component(s: Snapshot) -> Tensor:
    """Share of the variance between classes along the first principal component."""
    return s.eigenvectors[:, :1]


@along("along_3_components")
def along_3_components(s: Snapshot) -> Tensor:
    """Share of the variance between classes in the span of the 3 largest principal components."""
    return s.eigenvectors[:, :3]


@along("along_outliers")
def along_outliers(s: Snapshot) -> Tensor:
    """Share of the variance between classes in the dimensions that outliers/mean counts; 0 if there are none."""
    return torch.eye(s.dim, dtype=torch.float64)[:, outliers(s.mean)]


@statistic(
    "classes/alignment",
    unit="ratio",
    source="Wang and Isola, 2020 (arXiv:2005.10242)",
    null=lambda s: 2 - 2 * average_cosine(s),
    conditional=True,
    distribution=permuted(lambda labels, s: labels.alignment()),
)
def alignment(s: Snapshot) -> float:
    """Alignment, E||u - v||² over pairs of one class: 0 if classes are points.

    Over pairs of different rows of one class, directions only, in closed form:
    ``sum_c (2 m_c^2 - 2 ||U_c||^2) / sum_c m_c (m_c - 1)`` with ``U_c`` the sum of the class's unit vectors (Wang and
    Isola, 2020, with same-class pairs as positives). 2 if directions are random.
    """
    direct, units = s.classes.sums["direct"].cpu(), s.classes.sums["unit"].cpu()
    pairs = float((direct * (direct - 1)).sum())
    if pairs <= 0:
        return math.nan
    return max(0.0, float((2 * direct.square() - 2 * units.square().sum(1)).sum()) / pairs)  # 0 but for rounding
