"""Additive sums over per-example gradients, filled on the device without waiting for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from clsnorm import distributed

SUMS = ("total", "square", "unit")


class ExampleGradients:
    """What a window of training steps says of the gradients of single examples at one point, ``g_i`` in ``R^dim``.

    `update` takes rows; everything stays on their device, in float64, until `read` moves it to the host at once.
    Rows that are not finite keep their norm (infinite, or not a number) and are left out of the sums.

    Args:
        dim: Dimensions of a row.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._norms: list[Tensor] = []
        self._sums: Tensor | None = None

    def update(self, rows: Tensor) -> None:
        """Adds rows ``(B, dim)``; B may be 0."""
        rows = rows.detach().double()
        norms = rows.norm(dim=1)
        rows = torch.where(norms.isfinite()[:, None], rows, 0.0)
        lengths = torch.where(norms.isfinite() & (norms > 0), norms, 1.0)
        sums = torch.stack([rows.sum(0), rows.square().sum(0), (rows / lengths[:, None]).sum(0)])
        self._norms.append(norms)
        self._sums = sums if self._sums is None else self._sums.to(sums.device) + sums

    def read(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the norms of all rows and the sums over them, on the host, joined over all processes.

        Collective: every process must call it.

        Returns:
            ``(n,)`` norms, in the order of the processes, and within one of the steps; and ``(dim,)`` sums of ``g_i``
            (``total``), of its squares (``square``) and of ``g_i / ||g_i||`` (``unit``), over finite rows.
        """
        norms, sums = self._unpacked(distributed.gather_objects(self._packed()))
        return norms, dict(zip(SUMS, sums, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Returns what all processes have seen. Collective."""
        return {"parts": [torch.from_numpy(part) for part in distributed.gather_objects(self._packed())]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up this process's share of what `state_dict` returned."""
        parts = distributed.own_parts(state["parts"])
        norms, self._sums = self._unpacked([part.numpy() for part in parts])
        self._norms = [norms]

    def _packed(self) -> np.ndarray:
        """Returns sums and norms of this process, with one transfer to the host."""
        device = self._norms[-1].device if self._norms else "cpu"
        norms = torch.cat([part.to(device) for part in self._norms] or [torch.zeros(0, dtype=torch.float64)])
        sums = torch.zeros(len(SUMS), self.dim, dtype=torch.float64) if self._sums is None else self._sums
        packed: np.ndarray = torch.cat([sums.flatten().to(device), norms]).cpu().numpy()
        return packed

    def _unpacked(self, parts: list[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Returns norms and sums of several processes."""
        split = len(SUMS) * self.dim
        empty = np.zeros(split)
        norms = torch.from_numpy(np.concatenate([part[split:] for part in (*parts, empty)]))
        total = torch.stack([torch.from_numpy(part[:split]) for part in parts or [empty]]).sum(0)
        return norms, total.view(len(SUMS), self.dim)
