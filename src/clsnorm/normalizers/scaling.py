"""Calibrated affine normalizers of each dimension on its own: ``z = a * (h - location)``."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clsnorm.errors import is_whole, refuse, require_positive
from clsnorm.normalizers.calibrated import CalibratedAffine
from clsnorm.normalizers.matrices import floored
from clsnorm.normalizers.normalizer import require_floor, require_quantiles
from clsnorm.statistics import Moments, Quantiles


class Center(CalibratedAffine):
    """``z = h - mu``: subtracts the mean of the training split and leaves the shape unchanged."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, diagonal=True)

    def compute_transform(self, accumulator: Moments) -> Tensor:
        return torch.ones_like(accumulator.mean)


class Standardize(CalibratedAffine):
    """``z = (h - mu) / s`` in each dimension, ``s`` the standard deviation over the training split (divisor ``n``).

    A dimension that hardly varies would be blown up, so ``s`` is raised to at least ``eps`` times the largest ``s``. If
    no dimension varies (a single row, equal rows), ``z = h - mu``. Used against rogue dimensions by Timkey & van
    Schijndel (2021).

    Args:
        dim: Dimensions of an embedding.
        eps: Floor of ``s``, relative to its largest value; the gains of two dimensions differ by at most ``1/eps``.

    Raises:
        InputError: ``eps`` is not above 0 and at most 1.
    """

    def __init__(self, dim: int, *, eps: float = 1e-4) -> None:
        super().__init__(dim, diagonal=True)
        require_floor("eps", eps)
        self.eps = eps

    def compute_transform(self, accumulator: Moments) -> Tensor:
        deviation = torch.where(varies(accumulator), accumulator.variance.sqrt(), 0.0)
        return floored(deviation, self.eps).reciprocal()

    def extra_repr(self) -> str:
        return f"eps={self.eps}"


class Robust(CalibratedAffine):
    """``z = (h - median) / (q_high - q_low)`` in each dimension, quantiles over the training split.

    A standardization that outliers among the examples do not affect. With the default quartiles the divisor is the
    interquartile range, as in scikit-learn's ``RobustScaler``. A range of zero, as in a dimension whose values are
    mostly equal, is raised to ``eps`` times the largest range; if all are zero, ``z = h - median``.

    Args:
        dim: Dimensions of an embedding.
        low: Lower quantile of the range, from 0 to 0.5.
        high: Upper quantile of the range, from 0.5 to 1.
        eps: Floor of a dimension's range, relative to the largest one.

    Raises:
        InputError: ``low`` is not between 0 and 0.5, ``high`` not between 0.5 and 1, both are 0.5, or ``eps`` is not
            above 0 and at most 1.
    """

    calibration = Quantiles

    def __init__(self, dim: int, *, low: float = 0.25, high: float = 0.75, eps: float = 1e-4) -> None:
        super().__init__(dim, diagonal=True)
        require_quantiles(low, high)
        require_floor("eps", eps)
        self.low = low
        self.high = high
        self.eps = eps

    def compute_location(self, accumulator: Quantiles) -> Tensor:
        return accumulator.at([0.5])[0]

    def compute_transform(self, accumulator: Quantiles) -> Tensor:
        low, high = accumulator.at([self.low, self.high])
        return floored(high - low, self.eps).reciprocal()

    def extra_repr(self) -> str:
        return f"low={self.low}, high={self.high}, eps={self.eps}"


class OutlierZero(CalibratedAffine):
    """``z = m * h``, where ``m_i`` is 0 for outlier dimensions and 1 for the others.

    An outlier dimension is one whose mean over the training split is more than ``mean_deviations`` standard deviations
    away from the average mean (Kovaleva et al. 2021, arXiv:2105.06990), or whose variance is more than
    ``variance_ratio`` times the average variance (Rudman et al. 2023, arXiv:2310.17715). Both papers found that such
    dimensions carry much of what a fine-tuned model knows: the map throws information away, and its rank shows that.
    Setting them to their mean instead of 0 would only add a constant, which the head's bias can learn.

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
        require_positive("mean_deviations", mean_deviations, advice="Give normalizer.mean_deviations=3")
        require_positive("variance_ratio", variance_ratio, advice="Give normalizer.variance_ratio=5")
        self.mean_deviations = mean_deviations
        self.variance_ratio = variance_ratio
        self.dims = None if dims is None else list(dims)
        if self.dims and not _are_dimensions(self.dims, dim):
            rule = f"a list of different dimensions from 0 to {dim - 1}"
            refuse("dims", rule, self.dims, "Give null to look for the outliers")

    def compute_location(self, accumulator: Moments) -> Tensor:
        return torch.zeros_like(accumulator.mean)

    def compute_transform(self, accumulator: Moments) -> Tensor:
        mean, variance = accumulator.mean, accumulator.variance
        if self.dims is not None:
            kept = torch.ones_like(mean)
            kept[self.dims] = 0.0
            return kept
        far = (mean - mean.mean()).abs() > self.mean_deviations * mean.std(correction=0)
        wide = variance > self.variance_ratio * variance.mean()
        return torch.where(far | wide, 0.0, 1.0).to(mean.dtype)

    def extra_repr(self) -> str:
        return f"mean_deviations={self.mean_deviations}, variance_ratio={self.variance_ratio}, dims={self.dims}"


def _are_dimensions(given: Sequence[object], dim: int) -> bool:
    """Returns whether ``given`` are whole numbers from 0 to ``dim - 1``, each once."""
    return all(is_whole(i) and 0 <= i < dim for i in given) and len({*given}) == len(given)  # type: ignore[operator]


def varies(moments: Moments) -> Tensor:
    """Returns which dimensions vary by more than the float32 resolution of their mean, ``(dim,)``, bool.

    Less is rounding noise of the embeddings; if taken for a signal, it would be blown up to unit size.
    """
    return moments.variance.sqrt() > torch.finfo(torch.float32).eps * moments.mean.abs()
