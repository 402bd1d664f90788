"""Affine normalizers: the identity, and those calibrated once on the training split and then frozen."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from clsnorm.errors import InputError
from clsnorm.normalizers.base import Normalizer, check_positive
from clsnorm.statistics import Moments


class Identity(Normalizer):
    """``z = h``: the baseline. Holds no tensor, so `as_affine` answers on the CPU."""

    def normalize(self, h: Tensor) -> Tensor:
        return h

    def as_affine(self) -> tuple[Tensor, Tensor]:
        return torch.ones(self.dim), torch.zeros(self.dim)


class CalibratedAffine(Normalizer):
    """Base of ``z = A (h - mu)`` with ``mu`` the mean of the training split and ``A`` made from its moments.

    Both are computed in float64, frozen, and kept in the buffers ``mean`` ``(dim,)`` and ``transform``, which is
    ``(dim,)`` for a diagonal ``A``, else ``(dim, dim)``. The buffer ``examples`` counts what they were computed from; 0
    means not calibrated.
    """

    calibration = Moments
    mean: Tensor
    transform: Tensor
    examples: Tensor

    def __init__(self, dim: int, *, diagonal: bool) -> None:
        super().__init__(dim)
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float32))
        transform = torch.ones(dim, dtype=torch.float32)
        self.register_buffer("transform", transform if diagonal else transform.diag())
        self.register_buffer("examples", torch.zeros((), dtype=torch.int64))
        self._known_calibrated = False

    @abstractmethod
    def compute_transform(self, moments: Moments) -> Tensor:
        """Returns ``A`` in float64, in the shape of the buffer ``transform``."""

    def calibrate(self, accumulator: Any) -> None:
        """Computes and freezes ``mu`` and ``A``.

        Raises:
            InputError: ``accumulator`` is not `Moments`, is empty, of another dimension, or not finite.
        """
        if not isinstance(accumulator, Moments):
            raise InputError(
                f"Expected Moments to calibrate {type(self).__name__}, but got {type(accumulator).__name__}"
            )
        if accumulator.dim != self.dim:
            raise InputError(f"Expected moments of dimension {self.dim} to calibrate on, but got {accumulator.dim}")
        mean = accumulator.mean
        if not (mean.isfinite().all() and accumulator.variance.isfinite().all()):
            raise InputError("Expected finite embeddings to calibrate on, but their moments hold NaN or infinity")
        self.mean.copy_(mean)
        self.transform.copy_(self.compute_transform(accumulator))
        self.examples.fill_(accumulator.count)

    def normalize(self, h: Tensor) -> Tensor:
        self._require_calibration()
        centred = h - self.mean.to(h.dtype)
        transform = self.transform.to(h.dtype)
        return centred * transform if transform.ndim == 1 else centred @ transform.T

    def as_affine(self) -> tuple[Tensor, Tensor]:
        self._require_calibration()
        mean, transform = self.mean.double(), self.transform.double()
        shift = -(transform * mean if transform.ndim == 1 else transform @ mean)
        return self.transform.clone(), shift.to(self.mean.dtype)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._known_calibrated = False  # ask the new buffer

    def _require_calibration(self) -> None:
        # Asking the buffer waits for the device, so the answer "yes" is remembered.
        self._known_calibrated = self._known_calibrated or bool(self.examples > 0)
        if not self._known_calibrated:
            raise InputError(
                f"Expected {type(self).__name__} to be calibrated before use, but it was not. "
                "Fill clsnorm.statistics.Moments with the training split's embeddings and call calibrate(moments)"
            )


class Center(CalibratedAffine):
    """``z = h - mu``: removes the mean of the training split and leaves the shape alone."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, diagonal=True)

    def compute_transform(self, moments: Moments) -> Tensor:
        return torch.ones_like(moments.mean)


class Standardize(CalibratedAffine):
    """``z = (h - mu) / s`` in each dimension, ``s`` the standard deviation over the training split (divisor ``n``).

    A dimension that hardly varies would be blown up: ``s`` is at least ``eps`` times the largest ``s``. If no dimension
    varies (a single row, equal rows), ``z = h - mu``. Used against rogue dimensions by Timkey & van Schijndel (2021).

    Args:
        dim: Dimensions of an embedding.
        eps: Floor of ``s``, relative to its largest value; the gains of two dimensions differ by at most ``1/eps``.

    Raises:
        InputError: ``eps`` is not positive.
    """

    def __init__(self, dim: int, *, eps: float = 1e-4) -> None:
        super().__init__(dim, diagonal=True)
        check_positive("eps", eps, "Give a small number such as normalizer.eps=1e-4")
        self.eps = eps

    def compute_transform(self, moments: Moments) -> Tensor:
        deviation = torch.where(varies(moments), moments.variance.sqrt(), 0.0)
        return floored(deviation, self.eps).reciprocal()

    def extra_repr(self) -> str:
        return f"eps={self.eps}"


class ZCAWhitening(CalibratedAffine):
    """``z = S^(-1/2) (h - mu)``, ``S`` the covariance of the training split (divisor ``n``).

    The whitening that stays closest to its input (Kessy, Lewin & Strimmer 2018, arXiv:1512.00809): rotate to the
    principal axes, scale each to variance one, rotate back. Eigenvalues are at least ``eps`` times the largest, so
    directions without variance, of which there are many if ``n <= dim``, gain at most ``1/sqrt(eps)`` times what the
    leading direction does. If nothing varies (a single row, equal rows), ``z = h - mu``.

    Args:
        dim: Dimensions of an embedding.
        eps: Floor of the eigenvalues, relative to the largest.

    Raises:
        InputError: ``eps`` is not positive.
    """

    def __init__(self, dim: int, *, eps: float = 1e-5) -> None:
        super().__init__(dim, diagonal=False)
        check_positive("eps", eps, "Give a small number such as normalizer.eps=1e-5")
        self.eps = eps

    def compute_transform(self, moments: Moments) -> Tensor:
        kept = varies(moments)
        covariance = torch.where(kept[:, None] & kept, moments.covariance, 0.0)
        eigenvalues, axes = torch.linalg.eigh(covariance.cpu())
        return (axes * floored(eigenvalues, self.eps).rsqrt()) @ axes.T

    def extra_repr(self) -> str:
        return f"eps={self.eps}"


def varies(moments: Moments) -> Tensor:
    """Tells of each dimension, ``(dim,)``, whether it varies by more than float32 resolves around its mean.

    Less is rounding noise of the embeddings; taken for a signal, it would be blown up to unit size.
    """
    return moments.variance.sqrt() > torch.finfo(torch.float32).eps * moments.mean.abs()


def floored(values: Tensor, eps: float) -> Tensor:
    """Returns ``values``, at least ``eps`` times the largest of them; ones if none is positive."""
    largest = values.max()
    return torch.where(largest > 0, values.maximum(eps * largest), 1.0)
