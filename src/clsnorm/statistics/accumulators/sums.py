"""`Sums`: named sums in float64, the base of accumulators that merge by addition."""

from __future__ import annotations

import torch
from torch import Tensor

from clsnorm.distributed import all_reduce_sum


class Sums:
    """Named sums in float64 that merge by addition.

    Args:
        shapes: Shape of each sum.
    """

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        self.sums = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}

    def add(self, **terms: Tensor) -> None:
        """Adds ``terms`` to the sums of their names, on their device."""
        for name, term in terms.items():
            self.sums[name] = self.sums[name].to(term.device) + term

    def merge(self, other: Sums) -> None:
        """Adds the sums of ``other``."""
        self.add(**other.sums)

    def all_reduce(self) -> None:
        """Replaces the sums by those of all processes. Collective; call it once, after the last update."""
        self.sums = {name: all_reduce_sum(value.cpu()) for name, value in self.sums.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the sums."""
        return {name: value.cpu().clone() for name, value in self.sums.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Loads what `state_dict` returned."""
        self.sums = {name: state[name].clone() for name in self.sums}
