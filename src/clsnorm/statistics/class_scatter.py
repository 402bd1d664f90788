"""`ClassScatter`: class means, and the scatter between and within classes."""

from __future__ import annotations

from torch import Tensor

from clsnorm.statistics.accumulators.class_sums import ClassSums

COINCIDE = 1e-12  # class means closer than this share of their length are equal up to rounding of float64


class ClassScatter:
    """Class means around the mean of all rows, and the scatter between and within classes.

    Args:
        classes: Sums by class; classes without rows are left out.
        covariance: Of all rows, divisor n.

    Attributes:
        counts: Rows of each class, ``(C,)``.
        n: Rows.
        number: Classes that have rows.
        means: Class means, ``(C, dim)``.
        centre: Mean of all rows, ``(dim,)``.
        offsets: Class means around ``centre``, ``(C, dim)``.
        between: Scatter between classes, weighted by their rows, ``(dim, dim)``.
        within: Scatter within classes, ``(dim, dim)``.
    """

    def __init__(self, classes: ClassSums, covariance: Tensor) -> None:
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

    def simplex(self) -> Tensor:
        """Returns class means around their own mean, ``(C, dim)``; no rows if they coincide up to rounding."""
        offsets = self.means - self.means.mean(0)
        return offsets if float(offsets.norm()) > COINCIDE * float(self.means.norm()) else offsets[:0]
