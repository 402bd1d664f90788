"""`RowSample`: a random sample of rows that depends on their ids alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clsnorm.distributed import gather_objects


class RowSample:
    """A random sample of rows that depends on their ids alone, not on batches, order or processes.

    Holds the ``size`` rows whose ids have the smallest hashes (bottom-k sampling), in the order of the hashes.

    Args:
        size: Rows of the sample, at most.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._keys = np.zeros(0, np.uint64)
        self.rows = torch.zeros(0, 0, dtype=torch.float64)

    def update(self, rows: Tensor, ids: Tensor) -> None:
        """Adds rows ``(n, dim)`` with distinct ``ids`` ``(n,)``."""
        keys = hashed(ids.cpu().numpy())
        if len(self._keys) == self.size:  # most batches hold few small hashes
            wanted = keys < self._keys[-1]
            keys, rows = keys[wanted], rows[torch.from_numpy(wanted).to(rows.device)]
        self._take(keys, rows.cpu())

    def _take(self, keys: np.ndarray, rows: Tensor) -> None:
        if not len(keys):
            return
        joined = np.concatenate([self._keys, keys])
        order = np.argsort(joined, kind="stable")[: self.size]
        self._keys = joined[order]
        self.rows = (torch.cat([self.rows, rows]) if len(self.rows) else rows)[torch.from_numpy(order)]

    def merge(self, other: RowSample) -> None:
        """Adds the rows of ``other``."""
        self._take(other._keys, other.rows)

    def shared(self, other: RowSample) -> tuple[Tensor, Tensor]:
        """Returns the rows of the ids that both samples hold, ``(m, dim)`` each, in the same order."""
        _, ours, theirs = np.intersect1d(self._keys, other._keys, return_indices=True)
        return self.rows[torch.from_numpy(ours)], other.rows[torch.from_numpy(theirs)]

    def all_reduce(self) -> None:
        """Joins the samples of all processes. Collective."""
        parts = gather_objects((self._keys, self.rows.numpy()))
        self._keys, self.rows = np.zeros(0, np.uint64), torch.zeros(0, 0, dtype=torch.float64)
        for keys, rows in parts:
            self._take(keys, torch.from_numpy(rows))

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the sample."""
        return {"keys": torch.from_numpy(self._keys.view(np.int64)), "rows": self.rows.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Loads what `state_dict` returned."""
        self._keys, self.rows = state["keys"].numpy().view(np.uint64), state["rows"].clone()


def hashed(ids: np.ndarray) -> np.ndarray:
    """Returns the SplitMix64 hash of each id, uint64: a bijection without a pattern (Steele, Lea and Flood, 2014)."""
    x = ids.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
