"""`Batch`: the output of the data package and the input of the encoder; the only type that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One process's part of a global batch of tokenized examples, padded or packed; each sequence begins with [CLS].

    Padded, each row is a sequence: ``token_ids`` is ``(B, T)``, filled with the tokenizer's padding id after
    ``lengths``. Packed, the sequences follow each other in a single row: ``token_ids`` is ``(1, N)`` with
    ``N = lengths.sum()``. If the global batch is small, a process may have no example at all (``B = 0``).

    Attributes:
        token_ids: int64, ``(B, T)`` or ``(1, N)``.
        positions: int64, shape of ``token_ids``: 0, 1, ... within each sequence (0 in padding).
        segment_ids: int64, shape of ``token_ids``: 0 in the first text, 1 in the second.
        lengths: int64, ``(B,)``: tokens of each sequence. Always on the CPU: shapes depend on it, so reading it from
            the device would cost a synchronization.
        labels: ``(B,)``: int64 class ids, or float32 values for regression.
        example_ids: int64, ``(B,)``: the row's number in its source, the same in every run.
        global_size: Number of examples in the global batch, over all processes.
        packed: Whether the sequences share one row.
        step_size: Number of examples in all batches of the optimizer step, over all processes: the training loss is
            divided by it. 0, if the batch is a whole step, becomes ``global_size``.
        features: float32, ``(B, d)``: the [CLS] embeddings, if the encoder is frozen and they were computed before;
            else None.
    """

    token_ids: Tensor
    positions: Tensor
    segment_ids: Tensor
    lengths: Tensor
    labels: Tensor
    example_ids: Tensor
    global_size: int
    packed: bool = False
    step_size: int = 0
    features: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.step_size:
            object.__setattr__(self, "step_size", self.global_size)

    def __len__(self) -> int:
        """Returns the number of examples on this process."""
        return self.lengths.numel()

    @property
    def starts(self) -> Tensor:
        """The index of each sequence's first token in the packed row, ``(B,)``, on the CPU."""
        return self.lengths.cumsum(0) - self.lengths

    @property
    def mask(self) -> Tensor:
        """Boolean ``(B, T)`` on the device of the tokens: true at tokens, false at padding. Padded batches only."""
        if self.packed:
            raise ValueError("a packed batch has no padding, so it has no mask; use `lengths`")
        columns = torch.arange(self.token_ids.shape[1], device=self.token_ids.device)
        return columns < self.lengths.to(self.token_ids.device, non_blocking=True)[:, None]

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> Batch:
        """Returns the batch with its tensors on ``device``; ``lengths`` stays on the CPU."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Returns the batch in page-locked memory, for ``DataLoader(pin_memory=True)``."""
        return replace(self._map(Tensor.pin_memory), lengths=self.lengths)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "lengths"}
        moved: dict[str, Any] = {name: function(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved)
