"""`Norms`: the norms of all rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clsnorm.distributed import gather_objects


class Norms:
    """Stores the norms of all rows, 8 bytes a row, so that percentiles are exact."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []

    def update(self, rows: Tensor) -> None:
        """Adds rows ``(n, dim)``, float64."""
        self._parts.append(rows.norm(dim=1).cpu().numpy())

    def merge(self, other: Norms) -> None:
        """Appends the norms of ``other``."""
        self._parts += other._parts

    def all_reduce(self) -> None:
        """Joins the norms of all processes. Collective."""
        self._parts = gather_objects(self.values)

    @property
    def values(self) -> np.ndarray:
        """All norms, ``(n,)``, in the order of arrival."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the norms."""
        return {"values": torch.from_numpy(self.values)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Loads what `state_dict` returned."""
        self._parts = [state["values"].numpy()]
