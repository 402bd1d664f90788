"""Numbers of classes: how far their means lie apart, against what each spreads."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clsnorm.statistics.accumulators.rows import Classes

COINCIDE = 1e-12  # class means nearer than this share of their length are equal but for rounding of float64


class Between:
    """Class means around the mean of all, and the scatter between and within classes.

    Args:
        classes: Sums by class; classes without rows are left out.
        covariance: Of all rows, divisor n.
    """

    def __init__(self, classes: Classes, covariance: Tensor) -> None:
        counts = classes.sums["count"].cpu()
        present = counts > 0
        self.counts = counts[present]
        self.n, self.number = float(self.counts.sum()), int(present.sum())
        self.means = classes.sums["total"].cpu()[present] / self.counts[:, None]
        self.centre = (self.counts[:, None] * self.means).sum(0) / self.n
        self.offsets = self.means - self.centre
        self.between = (self.counts[:, None] / self.n * self.offsets).T @ self.offsets
        within = covariance - self.between
        self.within = (within + within.T) / 2

    def fisher_ratio(self) -> float:
        """``tr S_B / tr S_W``: variance between classes over variance within them."""
        within = float(self.within.diagonal().clamp(min=0).sum())
        return float(self.between.trace()) / within if within > 0 else math.nan

    def calinski_harabasz(self) -> float:
        """``(tr S_B / (C - 1)) / (tr S_W / (n - C))`` (Calinski and Harabasz, 1974)."""
        if self.number < 2 or self.n <= self.number:
            return math.nan
        return self.fisher_ratio() * (self.n - self.number) / (self.number - 1)

    def separability(self, *, shrinkage: float = 0.01) -> float:
        """``tr(S_W^-1 S_B)`` of discriminant analysis, with ``S_W`` shrunk to ``(1 - a) S_W + a tr(S_W)/d I``."""
        return self._over_within(self.between, shrinkage)

    def null_separability(self, *, shrinkage: float = 0.01) -> float:
        """What labels at random give on average, ``k (C - 1) / (n - C - k - 1)``; NaN with too few rows.

        That is Hotelling and Lawley's trace with as many degrees of freedom, whose k dimensions are those that the
        shrinkage leaves, ``tr(shrunk^-1 S_W)``.
        """
        kept = self._over_within(self.within, shrinkage)
        free = self.n - self.number - kept - 1
        return kept * (self.number - 1) / free if free > 0 else math.nan

    def _over_within(self, scatter: Tensor, shrinkage: float) -> float:
        dim = len(self.within)
        level = float(self.within.trace()) / dim
        if not level > 0:
            return math.nan
        shrunk = (1 - shrinkage) * self.within + shrinkage * level * torch.eye(dim, dtype=self.within.dtype)
        return float(torch.linalg.solve(shrunk, scatter).trace())

    def nc1(self) -> float:
        """``tr(S_W S_B^+) / C``, within-class variability collapse, with uniform weights of classes in ``S_B``.

        References:
            Papyan, Han and Donoho, 2020, https://arxiv.org/abs/2008.08186
        """
        offsets = self._simplex()
        if not len(offsets):
            return math.nan
        between = offsets.T @ offsets / self.number
        return float((self.within @ torch.linalg.pinv(between, hermitian=True, rtol=1e-10)).trace()) / self.number

    def nc2_norms(self) -> float:
        """Coefficient of variation of the centred class means' norms: 0 if they are equinorm (Papyan et al., 2020).

        NaN with two classes, whose centred means are always equinorm and opposite.
        """
        norms = self._simplex().norm(dim=1)
        return float(norms.std(correction=0) / norms.mean()) if len(norms) > 2 else math.nan

    def nc2_angles(self) -> float:
        """Mean of ``|cos(m_c, m_c') + 1/(C - 1)|`` over pairs: 0 if the class means form a simplex.

        NaN with two classes, of which that is always so.
        """
        units = torch.nn.functional.normalize(self._simplex(), dim=1)
        cosines = units @ units.T
        rows, columns = torch.triu_indices(len(units), len(units), offset=1)
        return float((cosines[rows, columns] + 1 / (self.number - 1)).abs().mean()) if len(units) > 2 else math.nan

    def _simplex(self) -> Tensor:
        """Class means around their own mean, ``(C, dim)``; no row at all where they coincide but for rounding."""
        offsets = self.means - self.means.mean(0)
        return offsets if float(offsets.norm()) > COINCIDE * float(self.means.norm()) else offsets[:0]


def share_within(scatter: Tensor, basis: Tensor) -> float:
    """Returns the share of ``tr S`` in the subspace of an orthonormal ``basis``, ``(dim, k)``."""
    total = float(scatter.trace())
    return float((scatter @ basis * basis).sum()) / total if total > 0 else math.nan


def share_along(scatter: Tensor, direction: Tensor) -> float:
    """Returns the share of ``tr S`` along a direction, ``(dim,)``; NaN where that is zero."""
    length = float(direction.norm())
    return share_within(scatter, direction[:, None] / length) if length > 0 else math.nan


def share_of(scatter: Tensor, dimensions: Tensor) -> float:
    """Returns the share of ``tr S`` in some dimensions, by number; 0 of none."""
    total = float(scatter.trace())
    return float(scatter.diagonal()[dimensions].sum()) / total if total > 0 else math.nan


def alignment(classes: Classes) -> float:
    """Returns ``E ||u - v||^2`` over pairs of different rows of one class, directions only, in closed form.

    ``sum_c (2 m_c^2 - 2 ||U_c||^2) / sum_c m_c (m_c - 1)`` with ``U_c`` the sum of the class's unit vectors (Wang and
    Isola, 2020, with same-class pairs as positives). 0: classes are points; 2: directions are random.
    """
    direct, units = classes.sums["direct"].cpu(), classes.sums["unit"].cpu()
    pairs = float((direct * (direct - 1)).sum())
    if pairs <= 0:
        return math.nan
    return max(0.0, float((2 * direct.square() - 2 * units.square().sum(1)).sum()) / pairs)  # 0 but for rounding
