"""From a `Snapshot` to single numbers: what the catalogue needs beside the functions of one spectrum or one vector."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from clsnorm.statistics import shape
from clsnorm.statistics.accumulators.snapshot import STILL, Snapshot
from clsnorm.statistics.nulls import isotropic_eigenvalues, isotropic_energies

Number = Callable[[Snapshot], float]


def of(function: Callable[..., float], part: Callable[[Snapshot], object], *arguments: object) -> Number:
    """Returns the number ``function(part(snapshot), *arguments)``."""
    return lambda s: function(part(s), *arguments)


def whole(s: Snapshot) -> Snapshot:
    """The snapshot itself, for `of`."""
    return s


def eigenvalues(s: Snapshot) -> torch.Tensor:
    """Of the covariance, largest first."""
    return s.eigenvalues


def mean(s: Snapshot) -> torch.Tensor:
    """``mu``, ``(dim,)``, on the host."""
    return s.moments.mean.cpu()


def energy(s: Snapshot) -> torch.Tensor:
    """``E[h_j^2]``, ``(dim,)``."""
    return s.moments.mean_square.cpu()


def std(s: Snapshot) -> torch.Tensor:
    """Standard deviation of each dimension, divisor n."""
    return s.covariance.diagonal().sqrt()


def direction_sum(s: Snapshot, name: str) -> float:
    """One of the sums of `Directions`."""
    return float(s.directions.sums[name])


def null_eigenvalues(s: Snapshot) -> torch.Tensor:
    """Eigenvalues that noise of as many rows and dimensions would show."""
    return torch.from_numpy(isotropic_eigenvalues(s.dim, s.count))


def null_energies(s: Snapshot) -> torch.Tensor:
    """Mean squares that noise of as many rows and dimensions would show."""
    return torch.from_numpy(isotropic_energies(s.dim, s.count))


def ratio(a: float, b: float) -> float:
    """``a / b``; NaN if b is zero."""
    return a / b if b else math.nan


def mean_to_norm(s: Snapshot) -> float:
    """``||mu|| / E||h||``."""
    return ratio(float(mean(s).norm()), direction_sum(s, "norm") / s.count)


def sign_constant(s: Snapshot) -> float:
    """Share of dimensions with ``|mu_j| > 2 s_j``."""
    return float((mean(s).abs() > 2 * std(s)).double().mean())


def std_range(s: Snapshot) -> float:
    """``max s_j / min s_j``."""
    spread = std(s)
    return float(spread.max() / spread.min()) if float(spread.min()) > 0 else math.inf


def dead(s: Snapshot) -> float:
    """Number of dimensions that never change; what counts as no change is said at `Snapshot.covariance`."""
    return float((std(s) == 0).sum())


def log_std_range(s: Snapshot) -> float:
    """Distance of the 1st and the 99th percentile of ``log s_j``, of the dimensions that vary."""
    spread = std(s)
    logs = spread[spread > 0].log()
    low, high = (float(logs.quantile(share)) for share in (0.01, 0.99)) if len(logs) else (math.nan, math.nan)
    return high - low


def null_log_std_range(s: Snapshot) -> float:
    """The same of noise, whose mean squares are known."""
    logs = null_energies(s).sqrt().log()
    return float(logs.quantile(0.99) - logs.quantile(0.01))


def std_variation(s: Snapshot) -> float:
    """Coefficient of variation of the standard deviations."""
    spread = std(s)
    return ratio(float(spread.std(correction=0)), float(spread.mean()))


def correlations(s: Snapshot) -> torch.Tensor:
    """Correlations of all pairs of dimensions."""
    return shape.off_diagonal_correlations(s.covariance)


def unbiased_participation_ratio(s: Snapshot) -> float:
    r"""``tr(S)^2 / tr(S^2)`` from estimates of both that are unbiased for a normal distribution.

    With S of divisor ``n - 1`` and ``m = n - 1``: ``tr(S^2) ~ m^2 / ((m + 2)(m - 1)) (||S||_F^2 - tr(S)^2 / m)`` and
    ``tr(S)^2 ~ m / ((m + 2)(m - 1)) ((m + 1) tr(S)^2 - 2 ||S||_F^2)``.
    """
    m = s.count - 1
    if m < 2:
        return math.nan
    scatter = s.covariance * (s.count / m)
    trace, square = float(scatter.trace()), float(scatter.square().sum())
    below = m * (square - trace**2 / m)
    return ratio((m + 1) * trace**2 - 2 * square, below) if below > 0 else math.nan


def isoscore_star(s: Snapshot, *, zeta: float = 0.2) -> float:
    """IsoScore of ``(1 - zeta) S + zeta C0`` with ``C0 = I tr(S)/d``, which is stable for few rows.

    The published ``IsoScore_star`` takes ``C0`` from the user, and the identity where there is nothing better. With the
    identity the score depends on the unit of the embeddings: doubling them changes it. Here ``C0`` has the trace of S,
    so it does not. Given the same ``C0`` (and S with divisor n - 1, as there) the two are equal.
    """
    values = (1 - zeta) * s.eigenvalues + zeta * s.eigenvalues.mean()
    directions = ratio(float(values.sum()) ** 2, float(values.square().sum()))
    return (directions - 1) / (s.dim - 1) if s.dim > 1 else math.nan


def null_isoscore_star(s: Snapshot, *, zeta: float = 0.2) -> float:
    """The same of noise: the participation ratio of ``(1 - zeta) l_i + zeta`` with l the eigenvalues of noise.

    Their mean is 1 and their mean square ``1 + d/n``.
    """
    square = (1 - zeta) ** 2 * (1 + s.dim / s.count) + 1 - (1 - zeta) ** 2
    return (s.dim / square - 1) / (s.dim - 1) if s.dim > 1 else math.nan


def null_uniformity(s: Snapshot) -> float:
    r"""``log E exp(-2 ||u - v||^2)`` of two independent uniform directions, in closed form.

    ``||u - v||^2 = 2 - 2 t`` and ``E exp(4 t) = 0F1(d/2; 4)``, a series that converges at once.
    """
    total = term = 1.0
    for k in range(1, 200):
        term *= 4 / (k * (s.dim / 2 + k - 1))
        total += term
    return math.log(total) - 4


def average_cosine(s: Snapshot) -> float:
    """``(||sum u||^2 - m) / (m (m - 1))`` over the m rows that are not zero."""
    found = _of_pairs(s.directions.sums["unit"], s.count - direction_sum(s, "zeros"))
    return min(1.0, found) if not math.isnan(found) else found  # rounding may end above 1


def _of_pairs(total: torch.Tensor, m: float) -> float:
    """Mean cosine of two different ones of m unit vectors, from their sum; NaN with fewer than two."""
    return (float(total.square().sum()) - m) / (m * (m - 1)) if m > 1 else math.nan


def centred_cosine(s: Snapshot) -> float:
    """Mean cosine of two rows of the sample, both around the mean of all rows: what is left once [CLS] is centred.

    A row that is the mean but for rounding has no direction and is left out.
    """
    centre = mean(s)
    offsets = s.sample.rows - centre
    lengths = offsets.norm(dim=1)
    found = lengths > STILL * centre.norm()
    return _of_pairs((offsets[found] / lengths[found, None]).sum(0), int(found.sum()))


def null_centred_cosine(s: Snapshot) -> float:
    """The same of noise, to first order in ``1/n``: taking off their mean correlates two rows by ``-1/(n - 1)``.

    Two normal d-vectors whose components correlate by r have a mean cosine of ``r (1 - 1/d) E||x|| E(1/||x||)``.
    """
    if s.dim < 2:
        return math.nan
    log_lengths = math.lgamma((s.dim + 1) / 2) + math.lgamma((s.dim - 1) / 2) - 2 * math.lgamma(s.dim / 2)
    return -(1 - 1 / s.dim) * math.exp(log_lengths) / (s.count - 1)


def rogue_shares(s: Snapshot) -> torch.Tensor:
    """Each dimension's part of the average cosine, ``((sum u)_j^2 - sum u_j^2) / (m (m - 1))``; they sum to it."""
    m = s.count - direction_sum(s, "zeros")
    sums = s.directions.sums
    return (sums["unit"].square() - sums["unit_square"]).cpu() / max(m * (m - 1), 1.0)


def rogue(s: Snapshot, k: int) -> float:
    """The ``k`` largest of `rogue_shares` as a share of the average cosine; NaN where that is not positive."""
    parts, total = rogue_shares(s), average_cosine(s)
    return float(parts.topk(min(k, s.dim)).values.sum()) / total if total > 0 else math.nan


def second_order_isotropy(s: Snapshot) -> float:
    r"""``(n - ||n mu|| + l_min n / 2) / (n + ||n mu|| + l_max n / 2)`` with eigenvalues l of ``E[h h^T]``."""
    values, pull = s.second_moment_eigenvalues, float(mean(s).norm())
    return max(0.0, 1 - pull + float(values[-1]) / 2) / (1 + pull + float(values[0]) / 2)


def kurtoses(s: Snapshot) -> torch.Tensor:
    """Excess kurtosis of each dimension; NaN where one is constant."""
    second, _, fourth = s.tails.central()
    return (torch.where(second > 0, fourth / second.square(), torch.nan) - 3).cpu()


def kurtosis_max(s: Snapshot) -> float:
    """The largest of `kurtoses`; NaN if all dimensions are constant."""
    found = kurtoses(s)
    found = found[found.isfinite()]
    return float(found.max()) if len(found) else math.nan


def kurtosis_across(s: Snapshot) -> float:
    """Mean excess kurtosis over the dimensions of a row, of the rows whose dimensions are not all equal."""
    return ratio(direction_sum(s, "kurtosis"), s.count - direction_sum(s, "flat")) - 3


def skewness(s: Snapshot) -> torch.Tensor:
    """Skewness of each dimension; NaN where one is constant."""
    second, third, _ = s.tails.central()
    return torch.where(second > 0, third / second.pow(1.5), torch.nan).cpu()


def norm_percentile(s: Snapshot, percent: float) -> float:
    """A percentile of the norms of all rows, exact, interpolated linearly."""
    return float(np.percentile(s.norms.values, percent))


def norm_variation(s: Snapshot) -> float:
    """Coefficient of variation of the norm."""
    return ratio(float(s.norms.values.std()), float(s.norms.values.mean()))


def null_fisher_ratio(s: Snapshot) -> float:
    """``(C - 1) / (n - C)`` with the classes that have rows."""
    classes = s.between.number
    return ratio(classes - 1, s.count - classes)


def percent(s: Snapshot) -> int:
    """One in a hundred dimensions, at least one."""
    return max(1, round(0.01 * s.dim))
