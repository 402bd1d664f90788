"""What a normalizer can be calibrated on."""

from __future__ import annotations

from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor


@runtime_checkable
class Accumulator(Protocol):
    """Takes up embeddings batch by batch, the same however they are split over batches and processes.

    Built from the dimension of an embedding alone, so that a normalizer names a class and a run fills one of it.

    Attributes:
        dim: Dimensions of an embedding.
        count: Embeddings taken up.
    """

    dim: int
    count: int

    def __init__(self, dim: int) -> None: ...

    def update(self, h: Tensor) -> None:
        """Takes up a batch ``(B, dim)``, which may be empty."""

    def merge(self, other: Self) -> None:
        """Takes up all that ``other`` has, and leaves ``other`` alone."""

    def all_reduce(self) -> None:
        """Takes up what the other processes have; all then hold the same."""

    def is_finite(self) -> bool:
        """Returns whether no embedding held NaN or infinity."""

    def center_and_spread(self) -> tuple[Tensor, Tensor]:
        """Returns where embeddings lie and how far they spread, both ``(dim,)``, for `Calibrated.staleness`."""

    def state_dict(self) -> dict[str, Any]:
        """Returns all that it holds, as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the place of what `state_dict` gave."""
