"""`Accumulator`: the interface of what a normalizer is calibrated with."""

from __future__ import annotations

from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor

from clsnorm.errors import InputError


@runtime_checkable
class Accumulator(Protocol):
    """Accumulates embeddings, with the same result however they are split over batches and processes.

    The constructor takes only the dimension, so a normalizer names a class and the run creates and fills an instance.

    Attributes:
        dim: Dimensions of an embedding.
        count: Embeddings added.
    """

    dim: int
    count: int

    def __init__(self, dim: int) -> None: ...

    def update(self, h: Tensor) -> None:
        """Adds a batch ``(B, dim)``, which may be empty."""

    def merge(self, other: Self) -> None:
        """Adds all embeddings of ``other``, which is not changed."""

    def all_reduce(self) -> None:
        """Adds those of the other processes, so that all hold the same. Collective."""

    def is_finite(self) -> bool:
        """Returns whether no embedding held NaN or infinity."""

    def center_and_spread(self) -> tuple[Tensor, Tensor]:
        """Returns location and spread of each dimension, both ``(dim,)``, for `Calibrated.staleness`."""

    def state_dict(self) -> dict[str, Any]:
        """Returns its state as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Loads what `state_dict` returned."""


def require_embeddings(h: Tensor, dim: int) -> None:
    """Raises `InputError` unless ``h`` has shape ``(n, dim)`` and a floating-point type."""
    if h.ndim != 2 or h.shape[1] != dim:
        raise InputError(f"Expected embeddings of shape (batch, {dim}), but got {tuple(h.shape)}")
    if not h.is_floating_point():
        raise InputError(f"Expected floating-point embeddings, but got {h.dtype}")
