"""Calibrated affine normalizers of each dimension on its own: ``z = a * (h - location)``."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clsnorm.normalizers.calibrated import CalibratedAffine
from clsnorm.normalizers.dead_dimensions import DEAD
from clsnorm.normalizers.matrices import floored
from clsnorm.normalizers.normalizer import require_floor, require_quantiles
from clsnorm.normalizers.outlier_rule import OutlierRule
from clsnorm.statistics import Moments, Quantiles


class Center(CalibratedAffine):
    """``z = h - mu``: subtracts the mean of the training split and leaves the shape unchanged."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, diagonal=True)

    def compute_transform(self, accumulator: Moments) -> Tensor:
        return torch.ones_like(accumulator.mean)


class _Rescaling(CalibratedAffine):
    """Base of maps that divide each dimension by its spread, but for dead dimensions."""

    def __init__(self, dim: int, *, eps: float, dead: float) -> None:
        super().__init__(dim, diagonal=True, dead=dead)
        require_floor("eps", eps)
        self.eps = eps

    def divided_by(self, spread: Tensor) -> Tensor:
        """Returns the factors ``1 / max(spread, eps max spread)``, ``(dim,)``, and 1 for dead dimensions."""
        dead = self.dead.to(spread.device)
        return torch.where(dead, 1.0, floored(torch.where(dead, 0.0, spread), self.eps).reciprocal())


class Standardize(_Rescaling):
    """``z = (h - mu) / s`` in each dimension, ``s`` the standard deviation over the training split (divisor ``n``).

    A dimension that hardly varies would be blown up: if it is dead (`dead_dimensions`), ``z_i = h_i - mu_i``; of the
    others, ``s`` is raised to at least ``eps`` times the largest ``s``. So if no dimension varies (a single row, equal
    rows), ``z = h - mu``. Used against rogue dimensions by Timkey & van Schijndel (2021).

    Args:
        dim: Dimensions of an embedding.
        eps: Floor of ``s``, relative to its largest value; the gains of two living dimensions differ by at most
            ``1/eps``.
        dead: Share of the median ``s`` up to which a dimension is dead.

    Raises:
        InputError: ``eps`` is not above 0 and at most 1, or ``dead`` not between 0 and 0.5.
    """

    def __init__(self, dim: int, *, eps: float = 1e-4, dead: float = DEAD) -> None:
        super().__init__(dim, eps=eps, dead=dead)

    def compute_transform(self, accumulator: Moments) -> Tensor:
        return self.divided_by(accumulator.variance.sqrt())

    def extra_repr(self) -> str:
        return f"eps={self.eps}, dead={self.dead_share}"


class Robust(_Rescaling):
    """``z = (h - median) / (q_high - q_low)`` in each dimension, quantiles over the training split.

    A standardization that outliers among the examples do not affect. With the default quartiles the divisor is the
    interquartile range, as in scikit-learn's ``RobustScaler``. A dimension whose range is zero, as its values are
    mostly equal, or otherwise dead (`dead_dimensions`) is not scaled: ``z_i = h_i - median_i``. Other ranges are raised
    to at least ``eps`` times the largest.

    Args:
        dim: Dimensions of an embedding.
        low: Lower quantile of the range, from 0 to 0.5.
        high: Upper quantile of the range, from 0.5 to 1.
        eps: Floor of a dimension's range, relative to the largest one.
        dead: Share of the median range up to which a dimension is dead.

    Raises:
        InputError: ``low`` is not between 0 and 0.5, ``high`` not between 0.5 and 1, both are 0.5, ``eps`` is not
            above 0 and at most 1, or ``dead`` not between 0 and 0.5.
    """

    calibration = Quantiles

    def __init__(
        self, dim: int, *, low: float = 0.25, high: float = 0.75, eps: float = 1e-4, dead: float = DEAD
    ) -> None:
        super().__init__(dim, eps=eps, dead=dead)
        require_quantiles(low, high)
        self.low = low
        self.high = high

    def measure(self, accumulator: Quantiles) -> tuple[Tensor, Tensor]:
        low, median, high = accumulator.at([self.low, 0.5, self.high])
        return median, high - low

    def compute_location(self, accumulator: Quantiles) -> Tensor:
        return accumulator.at([0.5])[0]

    def compute_transform(self, accumulator: Quantiles) -> Tensor:
        low, high = accumulator.at([self.low, self.high])
        return self.divided_by(high - low)

    def extra_repr(self) -> str:
        return f"low={self.low}, high={self.high}, eps={self.eps}, dead={self.dead_share}"


class OutlierZero(CalibratedAffine):
    """``z = m * h``, where ``m_i`` is 0 for outlier dimensions and 1 for the others.

    Outlier dimensions are those of `OutlierRule`. The papers that define them found that such dimensions carry much of
    what a fine-tuned model knows: the map throws information away, and its rank shows that. Setting them to their mean
    instead of 0 would only add a constant, which the head's bias can learn.

    Args:
        dim: Dimensions of an embedding.
        mean_deviations: How far a mean may be from the average mean, in standard deviations of the means.
        variance_ratio: How large a variance may be, as a multiple of the average one.
        dims: The outlier dimensions, counted from 0, if they are known; the other options then have no effect.

    Raises:
        InputError: An option is not positive, or ``dims`` are not different whole numbers below ``dim``.
    """

    def __init__(
        self,
        dim: int,
        *,
        mean_deviations: float = 3.0,
        variance_ratio: float = 5.0,
        dims: Sequence[int] | None = None,
    ) -> None:
        super().__init__(dim, diagonal=True)
        self.rule = OutlierRule(dim, mean_deviations=mean_deviations, variance_ratio=variance_ratio, dims=dims)

    def compute_location(self, accumulator: Moments) -> Tensor:
        return torch.zeros_like(accumulator.mean)

    def compute_transform(self, accumulator: Moments) -> Tensor:
        return torch.where(self.rule.find(accumulator), 0.0, 1.0).to(accumulator.mean.dtype)

    def details(self) -> dict[str, Any]:
        """Returns also the dimensions that are set to zero."""
        return super().details() | {"outlier_dimensions": (self.transform == 0).nonzero().flatten().tolist()}

    def extra_repr(self) -> str:
        return str(self.rule)
