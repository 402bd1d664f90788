"""Controls: maps that change a single property, so that an effect of a normalizer can be traced to it."""

import torch
from torch import Tensor, nn

from clsnorm.errors import require_between, require_switch, require_whole
from clsnorm.normalizers.calibrated import CalibratedAffine, CovarianceMap
from clsnorm.normalizers.dead_dimensions import DEAD
from clsnorm.normalizers.matrices import spectral_power
from clsnorm.normalizers.normalizer import Normalizer, require_floor
from clsnorm.statistics import Moments


class Identity(Normalizer):
    """``z = h``: the baseline. It has no tensors, so `as_affine` returns CPU tensors."""

    def normalize(self, h: Tensor) -> Tensor:
        return h

    def largest_gain(self, h: Tensor) -> Tensor:
        """1."""
        return h.new_ones(())

    def as_affine(self) -> tuple[Tensor, Tensor]:
        return torch.ones(self.dim, dtype=torch.float64), torch.zeros(self.dim, dtype=torch.float64)


class Scale(CalibratedAffine):
    """``z = c h`` with ``c = sqrt(dim / E||h||^2)``: mean square 1 over dimensions and examples; shape unchanged.

    One number for all embeddings: it changes only their size, and with it the head's step in function space. If all
    embeddings are zero, ``c = 1``.

    Args:
        dim: Dimensions of an embedding.
        learned: Whether a factor of ``c``, 1 at first, is learned; `ScaleNorm` also divides by each embedding's length.

    Raises:
        InputError: ``learned`` is neither true nor false.
    """

    def __init__(self, dim: int, *, learned: bool = False) -> None:
        super().__init__(dim, diagonal=True)
        require_switch("learned", learned, advice="Give normalizer.learned=true")
        self.weight = nn.Parameter(torch.ones(())) if learned else None

    def compute_location(self, accumulator: Moments) -> Tensor:
        return torch.zeros_like(accumulator.mean)

    def compute_transform(self, accumulator: Moments) -> Tensor:
        mean_square = accumulator.mean_square.mean()
        return torch.where(mean_square > 0, mean_square.rsqrt(), 1.0).expand(self.dim)

    def normalize(self, h: Tensor) -> Tensor:
        return self.apply_affine(super().normalize(h))

    def largest_gain(self, h: Tensor) -> Tensor:
        """``c``, times the learned factor."""
        return super().largest_gain(h) * self.largest_weight(h)

    def as_affine(self) -> tuple[Tensor, Tensor] | None:
        affine = super().as_affine()
        return None if affine is None else self.fold_affine(*affine)


class Rotation(Normalizer):
    """``z = Q h``, ``Q`` a random orthogonal matrix: all lengths and angles stay, the coordinates change.

    A linear head can express the same functions, and full-batch gradient descent would learn the same ones. Adam scales
    each coordinate separately: any effect of this normalizer is one of the optimizer, not of the geometry. ``Q`` is
    uniform over the orthogonal group (Stewart 1980: QR of a Gaussian matrix, signs of R's diagonal moved into Q).

    Args:
        dim: Dimensions of an embedding.
        seed: Seed of ``Q``; it does not depend on the run's seed.

    Raises:
        InputError: ``seed`` is not a whole number of at least 0.
    """

    rotation: Tensor

    def __init__(self, dim: int, *, seed: int = 0) -> None:
        super().__init__(dim)
        require_whole("seed", seed, least=0, advice="Give for example normalizer.seed=0")
        self.seed = seed
        gaussian = torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        q, r = torch.linalg.qr(gaussian)
        self.register_buffer("rotation", (q * r.diagonal().sign()).float())

    def normalize(self, h: Tensor) -> Tensor:
        return h @ self.rotation.to(h.dtype).T

    def largest_gain(self, h: Tensor) -> Tensor:
        """1: a rotation keeps every gradient's length."""
        return h.new_ones(())

    def as_affine(self) -> tuple[Tensor, Tensor]:
        rotation = self.rotation.double()
        return rotation, torch.zeros_like(rotation[0])

    def extra_repr(self) -> str:
        return f"seed={self.seed}"


class SpectrumMatched(CovarianceMap):
    """``z = S^(-alpha/2) (h - mu)``: the covariance of ``z`` is ``S^(1 - alpha)``, a chosen dose of isotropy.

    ``alpha = 0`` is `Center`, ``alpha = 1`` is `ZCAWhitening`, and ``alpha < 0`` goes the other way: at ``-1`` the
    covariance is ``S^2``, and the ratio of any two eigenvalues is squared. Principal axes stay. With ``center=False``
    the mean is not subtracted but multiplied by the matrix, and ``alpha = 0`` is the identity. The total variance
    changes along with the shape; ``keep_variance=True`` multiplies by one number such that the trace of the covariance
    is unchanged, and only the shape changes: use it to compare doses.

    Eigenvalues are raised to at least ``eps`` times the largest, so on the dimensions that are not dead the condition
    number of the matrix is at most ``eps^(-|alpha|/2)``: 316 for 1 and -1 at the default, 100,000 for -2.

    Args:
        dim: Dimensions of an embedding.
        alpha: Dose, from -2 to 1: above 0 more isotropic than ``h``, below 0 less.
        center: Whether to subtract the mean.
        keep_variance: Whether to rescale so that the total variance is unchanged.
        eps: Floor of the eigenvalues, relative to the largest.
        dead: Share of the median standard deviation up to which a dimension is dead.

    Raises:
        InputError: ``alpha`` is not between -2 and 1, ``eps`` not above 0 and at most 1, ``dead`` not between 0 and
            0.5, or ``center`` or ``keep_variance`` neither true nor false.
    """

    def __init__(
        self,
        dim: int,
        *,
        alpha: float = 0.5,
        center: bool = True,
        keep_variance: bool = False,
        eps: float = 1e-5,
        dead: float = DEAD,
    ) -> None:
        super().__init__(dim, dead=dead)
        require_between("alpha", alpha, -2, 1, advice="Give normalizer.alpha=0.5, or -0.5 for less isotropy")
        require_switch("center", center, advice="Give normalizer.center=true")
        require_switch("keep_variance", keep_variance, advice="Give normalizer.keep_variance=true")
        require_floor("eps", eps)
        self.alpha = alpha
        self.center = center
        self.keep_variance = keep_variance
        self.eps = eps

    def compute_location(self, accumulator: Moments) -> Tensor:
        return accumulator.mean if self.center else torch.zeros_like(accumulator.mean)

    def compute_matrix(self, covariance: Tensor, accumulator: Moments) -> Tensor:
        transform = spectral_power(covariance, -self.alpha / 2, eps=self.eps)
        after = (transform @ covariance @ transform.T).trace()
        if self.keep_variance and after > 0:
            transform = transform * (covariance.trace() / after).sqrt()
        return transform

    def extra_repr(self) -> str:
        options = f"alpha={self.alpha}, center={self.center}, keep_variance={self.keep_variance}"
        return f"{options}, eps={self.eps}, dead={self.dead_share}"
