"""Normalizers built from the quantiles of each dimension over the training split; none is affine."""

import torch
from torch import Tensor

from clsnorm.errors import require_between, require_whole
from clsnorm.normalizers.calibrated import Calibrated
from clsnorm.normalizers.dead_dimensions import DEAD
from clsnorm.normalizers.normalizer import require_quantiles
from clsnorm.statistics import Quantiles


class Clip(Calibrated):
    """``z = min(max(h, q_low), q_high)`` in each dimension, quantiles over the training split (winsorizing).

    Limits the effect of an extreme value. The gradient is zero outside the bounds. As ``torch.clamp``.

    Args:
        dim: Dimensions of an embedding.
        low: Lower quantile, as a share.
        high: Upper quantile, as a share.

    Raises:
        InputError: ``low`` is not between 0 and 0.5, or ``high`` not between 0.5 and 1, or both are 0.5.
    """

    bends = "is flat beyond the quantiles"
    calibration = Quantiles
    bounds: Tensor

    def __init__(self, dim: int, *, low: float = 0.01, high: float = 0.99) -> None:
        super().__init__(dim)
        require_quantiles(low, high)
        self.low = low
        self.high = high
        self.register_buffer("bounds", torch.zeros(2, dim, dtype=torch.float32))

    def take(self, accumulator: Quantiles) -> None:
        self.bounds.copy_(accumulator.at([self.low, self.high]))

    def normalize(self, h: Tensor) -> Tensor:
        self.require_calibration()
        low, high = self.bounds.to(h.dtype)
        return h.clamp(low, high)

    def largest_gain(self, h: Tensor) -> Tensor:
        """1 where any value is within the bounds, else 0; always attained."""
        return 1 - self.saturated(h).all(1).to(h.dtype)

    def saturated(self, h: Tensor) -> Tensor:
        """Returns which values are clipped."""
        low, high = self.bounds.to(h.dtype)
        return (h < low) | (h > high)

    def extra_repr(self) -> str:
        return f"low={self.low}, high={self.high}"


class QuantileToNormal(Calibrated):
    """``z = Phi^(-1)(F(h))`` in each dimension: the training split's distribution ``F`` becomes a standard Gaussian.

    ``F`` is linear between ``points`` quantiles and clamped to ``tail`` and ``1 - tail``, beyond which ``z`` is
    constant and its gradient zero; at a value that several quantiles share, ``F`` is the middle of its jump. As
    scikit-learn's ``QuantileTransformer(output_distribution="normal")``, whose ``tail`` is 1e-7: gradients in the tails
    are then up to two million times steeper than in the middle. The gradient is steep, too, between quantiles that
    nearly coincide; at a distance ``w``, rounding gives it a relative error of about ``eps |h| / w``. A dimension is
    dead (`dead_dimensions`) by the distance of its largest value from its smallest; then ``z_i = h_i - median_i``.

    Args:
        dim: Dimensions of an embedding.
        points: Quantiles, equally spaced from 0 to 1.
        tail: Smallest value of ``F``, and distance of its largest from 1.
        dead: Share of the median range up to which a dimension is dead.

    Raises:
        InputError: ``points`` is not a whole number of at least 2, ``tail`` not between 1e-7 and 0.25, or ``dead`` not
            between 0 and 0.5.
    """

    bends = "bends each value by the training split's distribution"
    calibration = Quantiles
    grid: Tensor

    def __init__(self, dim: int, *, points: int = 1000, tail: float = 1e-3, dead: float = DEAD) -> None:
        super().__init__(dim, dead=dead)
        require_whole("points", points, least=2, advice="Give for example normalizer.points=1000")
        require_between("tail", tail, 1e-7, 0.25, advice="Give for example normalizer.tail=1e-3")
        self.points = points
        self.tail = tail
        self.register_buffer("grid", torch.zeros(dim, points, dtype=torch.float32))

    def measure(self, accumulator: Quantiles) -> tuple[Tensor, Tensor]:
        low, median, high = accumulator.at([0.0, 0.5, 1.0])
        return median, high - low

    def take(self, accumulator: Quantiles) -> None:
        self.grid.copy_(accumulator.at([i / (self.points - 1) for i in range(self.points)]).T)

    def normalize(self, h: Tensor) -> Tensor:
        self.require_calibration()
        share = self._share(h.T.contiguous(), self.grid.to(h.dtype)).T
        z = torch.special.ndtri(share.clamp(self.tail, 1 - self.tail))
        return torch.where(self.dead, h - self.calibrated_center.to(h.dtype), z)

    def largest_gain(self, h: Tensor) -> Tensor:
        """``max_i F'(h_i) / phi(z_i)``, ``phi`` the Gaussian density; always attained."""
        # The map acts on each dimension alone: the gradient of its sum is its Jacobian's diagonal.
        with torch.enable_grad():
            leaf = h.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.normalize(leaf).sum(), leaf)
        return slope.abs().amax(1)

    def saturated(self, h: Tensor) -> Tensor:
        """Returns which values lie in the tails, where ``z`` is constant."""
        share = self._share(h.T.contiguous(), self.grid.to(h.dtype)).T
        return ((share < self.tail) | (share > 1 - self.tail)) & ~self.dead

    def _share(self, h: Tensor, grid: Tensor) -> Tensor:
        """Returns ``F(h)``, ``(dim, batch)``."""
        below = torch.searchsorted(grid, h.detach())
        above = torch.searchsorted(grid, h.detach(), right=True)
        left = (above - 1).clamp(0, self.points - 2)
        start, end = grid.gather(1, left), grid.gather(1, left + 1)
        width = end - start
        usable = (width > 0) & ~self.dead[:, None]
        inside = ((h - start) / torch.where(usable, width, 1.0)).clamp(0, 1)
        several = above - below > 1  # the value equals more than one quantile
        rank = torch.where(several, (below + above - 1).to(h.dtype) / 2, left + inside)
        return rank / (self.points - 1)

    def extra_repr(self) -> str:
        return f"points={self.points}, tail={self.tail}, dead={self.dead_share}"
