"""`Moments`: mean and covariance of embeddings, exact for any split into batches and processes."""

from typing import Any

import torch
from torch import Tensor

from clsnorm.distributed import all_reduce_sum
from clsnorm.errors import InputError, require_whole
from clsnorm.statistics.accumulators.accumulator import require_embeddings


class Moments:
    """Count, mean and co-moments of embeddings of ``dim`` dimensions, accumulated in float64.

    Stored are ``n``, ``sum x`` and ``sum x x^T`` of ``x = h - shift``, where the shift is the mean of the first batch.
    [CLS] embeddings have means much larger than their spread; without the shift the covariance would be a
    difference of two large numbers. With a common shift the accumulators merge by addition, in any order; with
    differing shifts they are first translated, which is exact algebra:
    ``sum x' x'^T = sum x x^T + delta a^T + a delta^T + n delta delta^T`` with ``a = sum x``.

    The accumulators live on the device of the first batch (on the CPU if that device has no float64).

    Args:
        dim: Dimensions of an embedding.

    Raises:
        InputError: ``dim`` is not a whole number of at least 1.

    Example:
        >>> moments = Moments(2)
        >>> moments.update(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
        >>> moments.count, moments.mean.tolist(), moments.variance.tolist()
        (2, [2.0, 5.0], [1.0, 0.0])
    """

    def __init__(self, dim: int) -> None:
        require_whole("dim", dim, least=1)
        self.dim = dim
        self.count = 0
        self._shift = torch.zeros(dim, dtype=torch.float64)
        self._sum = torch.zeros(dim, dtype=torch.float64)
        self._products = torch.zeros(dim, dim, dtype=torch.float64)

    def update(self, h: Tensor) -> None:
        """Adds the embeddings ``h``, ``(n, dim)`` of any floating-point type; ``n`` may be 0.

        Raises:
            InputError: ``h`` has another shape, or is not floating point.
        """
        require_embeddings(h, self.dim)
        if not len(h):
            return
        rows = h.detach().cpu() if h.device.type == "mps" else h.detach()
        rows = rows.to(torch.float64)
        if self.count == 0:
            self._move(rows.device)
            self._shift = rows.mean(0)
        rows = rows.to(self._shift.device) - self._shift
        self.count += len(rows)
        self._sum += rows.sum(0)
        self._products += rows.T @ rows

    def merge(self, other: "Moments") -> None:
        """Adds all embeddings of ``other``, which is not changed.

        Raises:
            InputError: ``other`` has another dimension.
        """
        if other.dim != self.dim:
            raise InputError(f"Expected moments of dimension {self.dim} to merge, but got {other.dim}")
        if other.count == 0:
            return
        if self.count == 0:
            self._move(other._shift.device)
            self._shift = other._shift.clone()
        total, products = (t.to(self._shift.device) for t in other._around(self._shift))
        self.count += other.count
        self._sum += total
        self._products += products

    def all_reduce(self) -> None:
        """Replaces the accumulators by those of all processes together. Call it once, after the last update.

        Collective. Processes without embeddings contribute zeros. The common shift is the mean of the
        processes' shifts, weighted by their counts.
        """
        weighted = torch.cat([self._shift * self.count, self._shift.new_tensor([self.count])])
        weighted = all_reduce_sum(weighted)
        count = round(weighted[-1].item())
        if count == 0:
            return
        shift = weighted[:-1] / count
        total, products = self._around(shift)
        reduced = all_reduce_sum(torch.cat([total[None], products]))
        self.count, self._shift, self._sum, self._products = count, shift, reduced[0].clone(), reduced[1:].clone()

    @property
    def mean(self) -> Tensor:
        """Mean of the embeddings, ``(dim,)``, float64.

        Raises:
            InputError: Nothing has been added yet (so do all properties below).
        """
        return self._shift + self._offset

    @property
    def covariance(self) -> Tensor:
        """Covariance with divisor ``n``, ``(dim, dim)``, float64, exactly symmetric."""
        offset = self._offset
        covariance = self._products / self.count - offset[:, None] * offset
        covariance = (covariance + covariance.T) / 2
        covariance.diagonal().clamp_(min=0)
        return covariance

    @property
    def variance(self) -> Tensor:
        """Variance of each dimension with divisor ``n``, ``(dim,)``, float64."""
        return (self._products.diagonal() / self.count - self._offset**2).clamp(min=0)

    @property
    def mean_square(self) -> Tensor:
        """Mean of the squares of each dimension, around zero, ``(dim,)``, float64."""
        return self.variance + self.mean**2

    def center_and_spread(self) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation of each dimension, both ``(dim,)``, float64."""
        return self.mean, self.variance.sqrt()

    def is_finite(self) -> bool:
        """Returns whether no NaN or infinity was added."""
        return bool(self.mean.isfinite().all() and self.variance.isfinite().all())

    def state_dict(self) -> dict[str, Any]:
        """Returns the accumulators as plain tensors and numbers."""
        return {
            "count": self.count,
            "shift": self._shift.clone(),
            "sum": self._sum.clone(),
            "products": self._products.clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Loads what ``state_dict`` returned.

        Raises:
            InputError: The state has another dimension.
        """
        if state["shift"].shape != (self.dim,):
            raise InputError(f"Expected moments of dimension {self.dim}, but got {len(state['shift'])}")
        self.count = int(state["count"])
        self._shift, self._sum, self._products = (
            state[name].detach().to(torch.float64, copy=True) for name in ("shift", "sum", "products")
        )

    def __repr__(self) -> str:
        return f"Moments(dim={self.dim}, count={self.count})"

    @property
    def _offset(self) -> Tensor:
        if self.count == 0:
            raise InputError("Expected moments of at least one embedding, but nothing was added; call update(h) first")
        return self._sum / self.count

    def _around(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the sum and the products translated to ``shift``."""
        delta = self._shift - shift.to(self._shift.device)
        cross = delta[:, None] * self._sum
        products = self._products + cross + cross.T + self.count * (delta[:, None] * delta)
        return self._sum + self.count * delta, products

    def _move(self, device: torch.device) -> None:
        self._shift, self._sum, self._products = (t.to(device) for t in (self._shift, self._sum, self._products))
