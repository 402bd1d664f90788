"""`HigherMoments`: third and fourth central moments of each dimension."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clsnorm.distributed import all_reduce_sum


class HigherMoments:
    """Third and fourth central moments of each dimension, around a shift that is the first batch's mean.

    Merging translates to a common shift by the binomial theorem, which is exact.

    Args:
        dim: Dimensions of a row.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.shift = torch.zeros(dim, dtype=torch.float64)
        self.powers = torch.zeros(4, dim, dtype=torch.float64)  # sums of x, x^2, x^3, x^4

    def update(self, rows: Tensor) -> None:
        """Adds rows ``(n, dim)``, float64."""
        if not len(rows):
            return
        if self.count == 0:
            self.shift, self.powers = rows.mean(0), self.powers.to(rows.device)
        x = rows - self.shift.to(rows.device)
        square = x.square()
        self.powers = self.powers + torch.stack([x.sum(0), square.sum(0), (square * x).sum(0), square.square().sum(0)])
        self.count += len(rows)

    def merge(self, other: HigherMoments) -> None:
        """Adds the sums of ``other``."""
        if other.count == 0:
            return
        if self.count == 0:
            self.shift = other.shift.clone()
        self.powers = self.powers + other._around(self.shift)
        self.count += other.count

    def all_reduce(self) -> None:
        """Replaces the sums by those of all processes. Collective."""
        weighted = all_reduce_sum(torch.cat([self.shift.cpu() * self.count, torch.tensor([float(self.count)])]))
        count = round(weighted[-1].item())
        if count:
            shift = weighted[:-1] / count
            self.powers = all_reduce_sum(self._around(shift).cpu())
            self.shift, self.count = shift, count

    def _around(self, shift: Tensor) -> Tensor:
        delta = self.shift.to(shift.device) - shift
        n, (a, b, c, d) = self.count, self.powers.to(shift.device)
        return torch.stack(
            [
                a + n * delta,
                b + 2 * delta * a + n * delta**2,
                c + 3 * delta * b + 3 * delta**2 * a + n * delta**3,
                d + 4 * delta * c + 6 * delta**2 * b + 4 * delta**3 * a + n * delta**4,
            ]
        )

    def central(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the second, third and fourth central moments, each ``(dim,)``, with divisor n."""
        mean = self.shift + self.powers[0] / self.count
        moved = HigherMoments(len(mean))
        moved.shift, moved.powers, moved.count = self.shift, self.powers, self.count
        _, second, third, fourth = moved._around(mean) / self.count
        return second, third, fourth

    def state_dict(self) -> dict[str, Any]:
        """Returns the sums."""
        return {"count": self.count, "shift": self.shift.cpu().clone(), "powers": self.powers.cpu().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Loads what `state_dict` returned."""
        self.count, self.shift, self.powers = int(state["count"]), state["shift"].clone(), state["powers"].clone()
