"""Normalizers that are calibrated on the training split and then frozen."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from clsnorm.errors import InputError
from clsnorm.normalizers.batch_statistics import statistics_dtype
from clsnorm.normalizers.dead_dimensions import dead_dimensions, require_dead_share
from clsnorm.normalizers.normalizer import Normalizer
from clsnorm.statistics import Moments, Quantiles


class Calibrated(Normalizer):
    """Base of normalizers that must be calibrated on the training split before they are used.

    The buffer ``examples`` counts the examples they were calibrated on; 0 means not calibrated. The buffers
    ``calibrated_center`` and ``calibrated_spread``, both ``(dim,)``, hold centre and spread of those examples for
    `staleness`. The buffer ``dead``, ``(dim,)``, says which dimensions the map leaves unscaled, by the rule of
    `dead_dimensions`.

    Args:
        dim: Dimensions of an embedding.
        dead: Share of the median spread up to which a dimension is dead; None for a map that divides by no spread.

    Raises:
        InputError: ``dead`` is not between 0 and 0.5.
    """

    calibration: ClassVar[type[Moments] | type[Quantiles]]
    examples: Tensor
    calibrated_center: Tensor
    calibrated_spread: Tensor
    dead: Tensor

    def __init__(self, dim: int, *, dead: float | None = None) -> None:
        super().__init__(dim)
        if dead is not None:
            require_dead_share(dead)
        self.dead_share = dead
        self.register_buffer("examples", torch.zeros((), dtype=torch.int64))
        self.register_buffer("calibrated_center", torch.zeros(dim, dtype=torch.float32))
        self.register_buffer("calibrated_spread", torch.zeros(dim, dtype=torch.float32))
        self.register_buffer("dead", torch.zeros(dim, dtype=torch.bool))
        self._known_calibrated = False

    @abstractmethod
    def take(self, accumulator: Any) -> None:
        """Computes the map from an ``accumulator``, already checked, and stores it in buffers."""

    def find_dead(self, accumulator: Any) -> Tensor:
        """Returns which dimensions of a checked ``accumulator`` are dead, ``(dim,)``, bool."""
        center, spread = self.measure(accumulator)
        if self.dead_share is None:
            return torch.zeros_like(spread, dtype=torch.bool)
        return dead_dimensions(center, spread, share=self.dead_share)

    def measure(self, accumulator: Any) -> tuple[Tensor, Tensor]:
        """Returns the centre and the spread, both ``(dim,)``, by which a dimension counts as dead."""
        center, spread = accumulator.center_and_spread()
        return center, spread

    def calibrate(self, accumulator: Any) -> None:
        """Computes the map from the accumulator and freezes it.

        Raises:
            InputError: ``accumulator`` is of another class or dimension, is empty, or not finite.
        """
        wanted = self.calibration.__name__
        if not isinstance(accumulator, self.calibration):
            raise InputError(
                f"Expected {wanted} to calibrate {type(self).__name__}, but got {type(accumulator).__name__}"
            )
        if accumulator.dim != self.dim:
            raise InputError(
                f"Expected {wanted} of dimension {self.dim} to calibrate on, but got dimension {accumulator.dim}"
            )
        if not accumulator.is_finite():
            raise InputError("Expected finite embeddings to calibrate on, but they hold NaN or infinity")
        self.dead.copy_(self.find_dead(accumulator))
        self.take(accumulator)
        center, spread = accumulator.center_and_spread()
        self.calibrated_center.copy_(center)
        self.calibrated_spread.copy_(spread)
        self.examples.fill_(accumulator.count)

    def staleness(self, accumulator: Any) -> dict[str, float]:
        """Returns how far embeddings have moved since `calibrate`, in dimensions that varied then.

        ``shift`` is ``sqrt(mean(((m - m_0) / s_0)^2))``, in calibrated standard deviations; ``stretch`` is
        ``sqrt(mean(ln(s / s_0)^2))``, 0.7 if spreads have doubled or halved. Both are 0 if nothing moved, and NaN if
        nothing varied. ``m`` and ``s`` are mean and standard deviation, or median and interquartile range. A dimension
        varied if it is not dead and ``s_0`` is larger than the float32 resolution of its ``m_0`` and of the largest
        ``s_0``.

        Args:
            accumulator: Filled with current embeddings; of the class that `calibrate` took.
        """
        self.require_calibration()
        center, spread = (part.cpu().double() for part in accumulator.center_and_spread())
        old_center, old_spread = self.calibrated_center.cpu().double(), self.calibrated_spread.cpu().double()
        varied = old_spread > torch.finfo(torch.float32).eps * old_spread.max().maximum(old_center.abs())
        varied &= ~self.dead.cpu()
        shift = ((center - old_center) / old_spread)[varied]
        stretch = (spread.clamp(min=torch.finfo(torch.float32).tiny) / old_spread)[varied].log()
        return {"shift": float((shift**2).mean().sqrt()), "stretch": float((stretch**2).mean().sqrt())}

    def details(self) -> dict[str, Any]:
        """Returns on how many examples it was calibrated, and which dimensions are dead if the map leaves them out."""
        dead = self.dead.nonzero().flatten().tolist()
        return {"examples": int(self.examples)} | ({} if self.dead_share is None else {"dead_dimensions": dead})

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Before the rule existed, no dimension was left out, and nothing was stored.
        state_dict.setdefault(f"{prefix}dead", torch.zeros_like(self.dead))
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._known_calibrated = False  # read the new buffer

    def require_calibration(self) -> None:
        """Raises `InputError` unless `calibrate` was called, here or before the loaded state was saved."""
        # Reading the buffer waits for the device, so a "yes" is remembered.
        self._known_calibrated = self._known_calibrated or bool(self.examples > 0)
        if not self._known_calibrated:
            raise InputError(
                f"Expected {type(self).__name__} to be calibrated before use, but it was not. Fill "
                f"clsnorm.statistics.{self.calibration.__name__} with the training split's embeddings and call "
                "calibrate(...) with it"
            )


class CalibratedAffine(Calibrated):
    """Base of ``z = A (h - location)``, ``A`` and ``location`` computed from the training split.

    Both are computed in float64, frozen, and stored in the buffers ``location`` ``(dim,)`` and ``transform``, which is
    ``(dim,)`` for a diagonal ``A``, else ``(dim, dim)``. The buffer ``gain`` ``()`` is the largest singular value of
    ``A``. If ``A`` is a matrix, ``calibrated_covariance`` ``(dim, dim)`` is the covariance of ``z`` at calibration:
    centres and spreads of the dimensions do not show changed correlations, on which a whitening depends.

    A subclass names its accumulator in ``calibration`` and implements `compute_transform`, and `compute_location` if
    the location is not the mean.
    """

    calibration: ClassVar[type[Moments] | type[Quantiles]] = Moments
    location: Tensor
    transform: Tensor
    gain: Tensor
    calibrated_covariance: Tensor | None

    def __init__(self, dim: int, *, diagonal: bool, dead: float | None = None) -> None:
        super().__init__(dim, dead=dead)
        self.register_buffer("gain", torch.ones((), dtype=torch.float32))
        self.register_buffer("location", torch.zeros(dim, dtype=torch.float32))
        transform = torch.ones(dim, dtype=torch.float32)
        self.register_buffer("transform", transform if diagonal else transform.diag())
        self.register_buffer("calibrated_covariance", None if diagonal else torch.zeros(dim, dim, dtype=torch.float32))

    @abstractmethod
    def compute_transform(self, accumulator: Any) -> Tensor:
        """Returns ``A`` in float64, in the shape of the buffer ``transform``."""

    def compute_location(self, accumulator: Any) -> Tensor:
        """Returns ``location``, ``(dim,)``, in float64: the mean."""
        return accumulator.mean

    def take(self, accumulator: Moments | Quantiles) -> None:
        transform = self.compute_transform(accumulator)
        self.transform.copy_(transform)
        self.gain.copy_(transform.abs().amax() if transform.ndim == 1 else torch.linalg.matrix_norm(transform, 2))
        self.location.copy_(self.compute_location(accumulator))
        if self.calibrated_covariance is not None:
            self.calibrated_covariance.copy_(self._transformed(accumulator))

    def staleness(self, accumulator: Any) -> dict[str, float]:
        """Returns what `Calibrated.staleness` does, and ``shape`` if ``A`` is a matrix.

        ``shape`` is ``||A S A^T - A S_0 A^T||_F / ||A S_0 A^T||_F``, ``S`` the covariance of current embeddings and
        ``S_0`` the calibrated one: after a whitening, the distance of the covariance from the identity over
        ``sqrt(dim)``.
        """
        moved = super().staleness(accumulator)
        if self.calibrated_covariance is None:
            return moved
        before = self.calibrated_covariance.cpu().double()
        change = torch.linalg.matrix_norm(self._transformed(accumulator) - before)
        return moved | {"shape": float(change / torch.linalg.matrix_norm(before))}

    def _transformed(self, moments: Any) -> Tensor:
        """Returns ``A S A^T``, float64, on the CPU."""
        transform, covariance = self.transform.cpu().double(), moments.covariance.cpu()
        transformed: Tensor = transform @ covariance @ transform.T
        return transformed

    def normalize(self, h: Tensor) -> Tensor:
        self.require_calibration()
        wide = h.to(statistics_dtype(h))  # a whitening has large gains: float32 would cost precision
        centred, transform = wide - self.location, self.transform.to(wide.dtype)
        return (centred * transform if transform.ndim == 1 else centred @ transform.T).to(h.dtype)

    def largest_gain(self, h: Tensor) -> Tensor:
        """The largest singular value of ``A``; always attained."""
        return self.gain.to(h.dtype)

    def details(self) -> dict[str, Any]:
        """Returns what `Calibrated.details` does, and ``gain``, the largest singular value of ``A``."""
        return super().details() | {"gain": float(self.gain)}

    def as_affine(self) -> tuple[Tensor, Tensor] | None:
        self.require_calibration()
        location, transform = self.location.double(), self.transform.double()
        return transform, -(transform * location if transform.ndim == 1 else transform @ location)


class CovarianceMap(CalibratedAffine):
    """Base of ``z = A (h - mu)`` with a matrix ``A`` computed from the covariance of the dimensions that are not dead.

    A dead dimension is centred, and neither scaled nor mixed with others: its row and column of ``A`` are those of the
    identity. If all are dead, so is ``A``.

    Attributes:
        ordered: Whether the coordinates of ``z`` are axes in order rather than dimensions; dead dimensions then come
            last.
    """

    ordered: ClassVar[bool] = False

    def __init__(self, dim: int, *, dead: float) -> None:
        super().__init__(dim, diagonal=False, dead=dead)

    @abstractmethod
    def compute_matrix(self, covariance: Tensor, accumulator: Any) -> Tensor:
        """Returns ``A`` of the living dimensions, in the shape of their ``covariance``, both float64 on the CPU."""

    def compute_transform(self, accumulator: Any) -> Tensor:
        dead = self.dead.cpu()
        living = ~dead
        transform = torch.eye(self.dim, dtype=torch.float64)
        if not living.any():
            return transform
        found = self.compute_matrix(accumulator.covariance.cpu()[living][:, living], accumulator)
        rows = torch.cat([living.nonzero(), dead.nonzero()]).flatten()  # where each row of the sorted matrix goes
        block = torch.block_diag(found, transform[dead][:, dead])
        columns = torch.zeros_like(block).index_copy(1, rows, block)
        return columns if self.ordered else torch.zeros_like(block).index_copy(0, rows, columns)
