"""`RadialMoments`: `Moments` and the fourth moment of the distance from the mean."""

import copy
from typing import Any

import torch
from torch import Tensor

from clsnorm.distributed import all_reduce_sum
from clsnorm.errors import InputError
from clsnorm.statistics.accumulators.moments import Moments


class RadialMoments(Moments):
    """`Moments` with ``E||h - mu||^4``, which says how well ``n`` rows determine their covariance.

    Also stored are ``sum ||x||^4`` and ``sum ||x||^2 x``, which translate exactly to another shift, as
    ``||x + d||^2 = ||x||^2 + 2 x.d + ||d||^2``.

    Args:
        dim: Dimensions of an embedding.

    Raises:
        InputError: ``dim`` is not a whole number of at least 1.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        # The last entry is the sum of ||x||^4, those before it the sum of ||x||^2 x.
        self._radial = torch.zeros(dim + 1, dtype=torch.float64)

    def update(self, h: Tensor) -> None:
        super().update(h)
        if not len(h):
            return
        rows = h.detach().to(self._shift.device).to(torch.float64) - self._shift
        squares = (rows**2).sum(1)
        self._radial = self._radial.to(rows.device)
        self._radial += torch.cat([squares @ rows, (squares @ squares)[None]])

    def merge(self, other: Moments) -> None:
        if not isinstance(other, RadialMoments):
            raise InputError(f"Expected RadialMoments to merge, but got {type(other).__name__}, without fourth moments")
        super().merge(other)
        self._radial = self._radial.to(self._shift.device) + other._radial_around(self._shift).to(self._shift.device)

    def all_reduce(self) -> None:
        before = copy.copy(self)
        super().all_reduce()
        self._radial = all_reduce_sum(before._radial_around(self._shift)).clone()

    @property
    def fourth_radius(self) -> float:
        """``E||h - mu||^4``.

        Raises:
            InputError: Nothing has been added yet.
        """
        return float(self._radial_around(self.mean)[-1]) / self.count

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"radial": self._radial.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._radial = state["radial"].detach().to(torch.float64, copy=True)

    def _radial_around(self, shift: Tensor) -> Tensor:
        """Returns the radial sums translated to ``shift``."""
        delta = self._shift - shift.to(self._shift.device)
        length, along = delta @ delta, self._products @ delta
        squares, cubes, sum_along = self._products.trace(), self._radial[:-1], self._sum @ delta
        total = squares + 2 * sum_along + self.count * length  # sum of ||x'||^2
        cubic = cubes + 2 * along + length * self._sum + total * delta
        quartic = (
            self._radial[-1]
            + 4 * (delta @ along + cubes @ delta)
            + length * (2 * squares + 4 * sum_along + self.count * length)
        )
        return torch.cat([cubic, quartic[None]])
