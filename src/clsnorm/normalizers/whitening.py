"""Whitenings calibrated on the training split: ``z = A (h - mu)`` such that the covariance of ``z`` is the identity.

All ``A`` with ``A S A^T = I`` are equally white and differ by a rotation; Kessy, Lewin & Strimmer 2018
(arXiv:1512.00809) say which is best for which purpose. Dead dimensions (`dead_dimensions`) are left out: centred, not
scaled, and not mixed with others. Eigenvalues of the covariance ``S`` (divisor ``n``) of the rest are raised to at
least ``eps`` times the largest, so directions without variance, of which there are many if ``n <= dim``, are scaled by
at most ``1/sqrt(eps)`` times the factor of the leading direction. If nothing varies (a single row, equal rows), the map
is ``h - mu``.
"""

from abc import abstractmethod

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clsnorm.errors import require_positive, require_switch, require_whole
from clsnorm.normalizers.calibrated import CalibratedAffine, CovarianceMap
from clsnorm.normalizers.dead_dimensions import DEAD, dead_dimensions
from clsnorm.normalizers.matrices import floored, principal_axes, shrunk, spectral_power
from clsnorm.normalizers.normalizer import require_floor
from clsnorm.statistics import Moments, RadialMoments

SHORTEST = 1e-6  # the smallest length to divide by


class Whitening(CovarianceMap):
    """Base of whitenings: a subclass implements `whitener`.

    Args:
        dim: Dimensions of an embedding.
        eps: Floor of the eigenvalues, relative to the largest.
        dead: Share of the median standard deviation up to which a dimension is dead.

    Raises:
        InputError: ``eps`` is not above 0 and at most 1, or ``dead`` not between 0 and 0.5.
    """

    def __init__(self, dim: int, *, eps: float = 1e-5, dead: float = DEAD) -> None:
        super().__init__(dim, dead=dead)
        require_floor("eps", eps)
        self.eps = eps

    @abstractmethod
    def whitener(self, covariance: Tensor) -> Tensor:
        """Returns ``A`` of the living dimensions, in the shape of their ``covariance``, both float64 on the CPU."""

    def compute_matrix(self, covariance: Tensor, accumulator: Moments) -> Tensor:
        return self.whitener(covariance)

    def extra_repr(self) -> str:
        return f"eps={self.eps}, dead={self.dead_share}"


class ZCAWhitening(Whitening):
    """``z = S^(-1/2) (h - mu)``: rotate to the principal axes, scale each to variance one, rotate back.

    Of all whitenings it stays closest to its input in mean square (Kessy et al. 2018). Options as in `Whitening`.
    """

    def whitener(self, covariance: Tensor) -> Tensor:
        return spectral_power(covariance, -0.5, eps=self.eps)


class PCAWhitening(Whitening):
    """``z = L^(-1/2) U^T (h - mu)``, ``S = U L U^T``: coordinates along the principal axes, each of variance one.

    Coordinate 1 is the axis of largest variance. As BERT-whitening (Su et al. 2021, arXiv:2103.15316) and
    scikit-learn's ``PCA(whiten=True)``, which divides by ``n - 1``. The sign of each axis makes its largest entry
    positive. Options as in `Whitening`.
    """

    ordered = True

    def whitener(self, covariance: Tensor) -> Tensor:
        eigenvalues, axes = principal_axes(covariance)
        return floored(eigenvalues, self.eps).rsqrt()[:, None] * axes.T


class CholeskyWhitening(Whitening):
    """``z = L^T (h - mu)`` with ``L`` lower triangular and ``L L^T = S^(-1)``.

    Coordinate ``i`` depends on dimensions ``i`` to ``d``, so the order of the dimensions matters. Options as in
    `Whitening`; the inverse is that of ``S`` with raised eigenvalues.
    """

    def whitener(self, covariance: Tensor) -> Tensor:
        return torch.linalg.cholesky(spectral_power(covariance, -1.0, eps=self.eps)).T


class _CorrelationWhitening(Whitening):
    """Base of whitenings of the standardized embedding: ``A = B V^(-1/2)``, ``V`` the variances.

    Standard deviations are raised to at least ``sqrt(eps)`` times the largest, then eigenvalues of the correlation to
    at least ``eps`` times the largest.
    """

    def whitener(self, covariance: Tensor) -> Tensor:
        deviation = floored(covariance.diagonal(), self.eps).sqrt()
        correlation = covariance / deviation / deviation[:, None]
        correlation.diagonal().fill_(1.0)
        return self.whitener_of_standardized(correlation) / deviation

    @abstractmethod
    def whitener_of_standardized(self, correlation: Tensor) -> Tensor:
        """Returns ``B``, in the shape of the correlation ``P``, with ``B P B^T = I``."""


class ZCACorrelation(_CorrelationWhitening):
    """``z = P^(-1/2) V^(-1/2) (h - mu)``, ``P`` the correlation matrix and ``V`` the variances (ZCA-cor).

    Of all whitenings its outputs correlate most with their inputs, dimension by dimension (Kessy et al. 2018).
    Standardizing first keeps outlier dimensions from deciding which eigenvalues count as small. Options as in
    `Whitening`.
    """

    def whitener_of_standardized(self, correlation: Tensor) -> Tensor:
        return spectral_power(correlation, -0.5, eps=self.eps)


class PCACorrelation(_CorrelationWhitening):
    """``z = T^(-1/2) G^T V^(-1/2) (h - mu)``, ``P = G T G^T`` the correlation matrix, ``V`` the variances (PCA-cor).

    Principal axes of the standardized embedding, with signs as in `PCAWhitening`. Options as in `Whitening`.
    """

    ordered = True

    def whitener_of_standardized(self, correlation: Tensor) -> Tensor:
        eigenvalues, axes = principal_axes(correlation)
        return floored(eigenvalues, self.eps).rsqrt()[:, None] * axes.T


class SoftZCA(CovarianceMap):
    """``z = U (L + eps l I)^(-1/2) U^T (h - mu)``, ``S = U L U^T``, ``l`` the average eigenvalue.

    Whitens large directions and leaves those far below ``eps l`` unchanged, up to a common factor: ``eps`` toward 0
    gives `ZCAWhitening`, large ``eps`` gives `Center` times ``1/sqrt(eps l)``. Diera et al. 2024 (arXiv:2411.17538),
    where ``eps`` is absolute; here it is relative, so that it means the same at every scale.

    Args:
        dim: Dimensions of an embedding.
        eps: Added to the eigenvalues, as a multiple of their average.
        dead: Share of the median standard deviation up to which a dimension is dead.

    Raises:
        InputError: ``eps`` is not positive, or ``dead`` not between 0 and 0.5.
    """

    def __init__(self, dim: int, *, eps: float = 0.1, dead: float = DEAD) -> None:
        super().__init__(dim, dead=dead)
        require_positive("eps", eps, advice="Give for example normalizer.eps=0.1")
        self.eps = eps

    def compute_matrix(self, covariance: Tensor, accumulator: Moments) -> Tensor:
        # (1 + eps) shrunk(S, r) = S + eps l I for r = eps / (1 + eps)
        raised = (1 + self.eps) * shrunk(covariance, self.eps / (1 + self.eps))
        return spectral_power(raised, -0.5, eps=torch.finfo(torch.float64).eps)

    def extra_repr(self) -> str:
        return f"eps={self.eps}, dead={self.dead_share}"


class OASWhitening(Whitening):
    """ZCA whitening of the covariance shrunk by the oracle approximating rate ``r`` (OAS, Chen et al. 2010).

    ``z = ((1 - r) S + r l I)^(-1/2) (h - mu), l = tr S / d, r = min(1, (a + l^2) / ((n + 1) (a - l^2 / d)))``, ``a``
    the mean of the squares of the entries of ``S``. For few examples: with ``n < dim`` the sample covariance says
    nothing about most directions, and ``r`` estimates how little to trust it. As scikit-learn's ``OAS``. Options as in
    `Whitening`.
    """

    def compute_matrix(self, covariance: Tensor, accumulator: Moments) -> Tensor:
        return self.whitener(shrunk(covariance, self.rate(covariance, accumulator)))

    def rate(self, covariance: Tensor, accumulator: Moments) -> float:
        """Returns ``r``, between 0 and 1."""
        square, average = float((covariance**2).mean()), float(covariance.diagonal().mean())
        numerator = square + average**2
        denominator = (accumulator.count + 1) * (square - average**2 / len(covariance))
        return 1.0 if denominator <= 0 else min(1.0, numerator / denominator)

    def whitener(self, covariance: Tensor) -> Tensor:
        return spectral_power(covariance, -0.5, eps=self.eps)


class LedoitWolfWhitening(OASWhitening):
    """ZCA whitening of the covariance shrunk by Ledoit & Wolf's (2004) rate ``r``.

    ``z = ((1 - r) S + r l I)^(-1/2) (h - mu), l = tr S / d, r = min(b, e) / e``, with
    ``e = ||S - l I||_F^2`` and ``b = (E||h - mu||^4 - ||S||_F^2) / n``: the optimal rate in mean square as ``n`` and
    ``d`` grow together. As scikit-learn's ``LedoitWolf``. Options as in `Whitening`.
    """

    calibration = RadialMoments

    def rate(self, covariance: Tensor, accumulator: Moments) -> float:
        assert isinstance(accumulator, RadialMoments)
        average = covariance.diagonal().mean()
        distance = float((covariance**2).sum() - len(covariance) * average**2)
        noise = (accumulator.fourth_radius - float((covariance**2).sum())) / accumulator.count
        return 1.0 if distance <= 0 else min(max(noise, 0.0), distance) / distance


class AllButTheTop(CalibratedAffine):
    """``z = (I - U_k U_k^T) (h - mu)``: projects out the ``k`` leading principal axes (all-but-the-top).

    Mu & Viswanath 2018 (arXiv:1702.01417), who remove about one axis per hundred dimensions. The rank drops by ``k``.

    Args:
        dim: Dimensions of an embedding.
        components: ``k``; None: one per hundred dimensions, at least one.

    Raises:
        InputError: ``components`` is not a whole number from 0 to ``dim - 1``.
    """

    def __init__(self, dim: int, *, components: int | None = None) -> None:
        super().__init__(dim, diagonal=False)
        advice = "Give for example normalizer.components=1"
        require_whole("components", components, least=0, most=dim - 1, or_null=True, advice=advice)
        self.components = min(max(1, dim // 100), dim - 1) if components is None else components

    def compute_transform(self, accumulator: Moments) -> Tensor:
        _, axes = principal_axes(_varying_covariance(accumulator))
        removed = axes[:, : self.components]
        return torch.eye(self.dim, dtype=axes.dtype) - removed @ removed.T

    def extra_repr(self) -> str:
        return f"components={self.components}"


class TruncatedWhitening(PCAWhitening):
    """First ``k`` coordinates of `PCAWhitening`, the others zero, then divided by their length.

    ``z = y / ||y||, y = L_k^(-1/2) U_k^T (h - mu)``, ``L_k`` and ``U_k`` the ``k`` largest eigenvalues and their axes.
    BERT-whitening with reduction (Su et al. 2021, arXiv:2103.15316: 256 of 768 coordinates). Zeros instead of the
    dropped coordinates keep the size ``dim`` and change no inner product. With ``unit=False`` the map is affine.

    Args:
        dim: Dimensions of an embedding.
        components: ``k``; None: a third of the dimensions, at least one.
        unit: Whether to divide by the length.
        eps: Floor of the eigenvalues, relative to the largest.
        dead: Share of the median standard deviation up to which a dimension is dead; such coordinates come last.

    Raises:
        InputError: ``components`` is not a whole number from 1 to ``dim``, ``eps`` not above 0 and at most 1, ``dead``
            not between 0 and 0.5, or ``unit`` neither true nor false.
    """

    bends = "divides each embedding by its own length"

    def __init__(
        self, dim: int, *, components: int | None = None, unit: bool = True, eps: float = 1e-5, dead: float = DEAD
    ) -> None:
        super().__init__(dim, eps=eps, dead=dead)
        advice = "Give for example normalizer.components=1"
        require_whole("components", components, least=1, most=dim, or_null=True, advice=advice)
        self.components = max(1, dim // 3) if components is None else components
        require_switch("unit", unit, advice="Give normalizer.unit=true")
        self.unit = unit

    def compute_transform(self, accumulator: Moments) -> Tensor:
        kept = torch.arange(self.dim) < self.components
        return super().compute_transform(accumulator) * kept[:, None]

    def normalize(self, h: Tensor) -> Tensor:
        z = super().normalize(h)
        return F.normalize(z, dim=1, eps=SHORTEST) if self.unit else z

    def largest_gain(self, h: Tensor) -> Tensor:
        """That of the matrix; if ``unit``, divided by the length of its output, and then perhaps not attained."""
        gain = super().largest_gain(h)
        return gain / super().normalize(h).norm(dim=1).clamp(min=SHORTEST) if self.unit else gain

    def as_affine(self) -> tuple[Tensor, Tensor] | None:
        affine = super().as_affine()
        return None if self.unit else affine

    def extra_repr(self) -> str:
        return f"components={self.components}, unit={self.unit}, {super().extra_repr()}"


def _varying_covariance(moments: Moments) -> Tensor:
    """Returns the covariance, ``(d, d)``, with zeros for dimensions that vary by no more than rounding noise."""
    varies = ~dead_dimensions(*moments.center_and_spread(), share=0.0)
    return torch.where(varies[:, None] & varies, moments.covariance, 0.0)
