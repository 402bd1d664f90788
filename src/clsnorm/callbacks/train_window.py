"""`TrainWindow`: embeddings of the training steps just before a measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from clsnorm.distributed import gather_objects, own_parts

Rows = dict[str, Tensor]


class TrainWindow:
    """Stores outputs of the last ``length`` optimizer steps of each ``period``, on their device, without waiting.

    It takes ``2 * length * batch * dim`` values of memory, and nothing in the other steps.

    Args:
        names: Outputs of a training step to store, rows ``(B, ...)`` of detached tensors.
        period: Optimizer steps between two measurements; the first one comes after as many.
        length: Optimizer steps in the window.
    """

    def __init__(self, names: Sequence[str], *, period: int, length: int) -> None:
        self._names, self._period, self._length = names, period, length
        self._parts: list[Rows] = []

    def is_due(self, step: int) -> bool:
        """Returns whether there is a measurement after optimizer step number ``step``."""
        return (step + 1) % self._period == 0

    def add(self, outputs: Mapping[str, Any], *, step: int) -> None:
        """Stores the outputs of a batch of optimizer step number ``step`` if the step is in the window."""
        if -(step + 1) % self._period < self._length:
            # A copy: [CLS] may be a view that holds the hidden states of the whole batch.
            self._parts.append({name: outputs[name].clone() for name in self._names})

    def take(self, device: torch.device) -> Iterator[Rows]:
        """Yields the stored outputs, batch by batch, on ``device``, and empties the window."""
        parts, self._parts = self._parts, []
        for part in parts:
            yield {name: rows.to(device) for name, rows in part.items()}

    def state_dict(self) -> dict[str, Any]:
        """Returns the stored outputs of all processes. Collective."""
        return {"parts": gather_objects([{name: rows.cpu() for name, rows in part.items()} for part in self._parts])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores this process's share of the value of `state_dict`."""
        self._parts = [part for kept in own_parts(state["parts"]) for part in kept]
