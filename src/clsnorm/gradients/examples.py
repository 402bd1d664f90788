"""Sums over per-example gradients, computed on the device without waiting for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clsnorm import distributed

SUMS = ("total", "square", "unit")


@dataclass(frozen=True)
class Examples:
    """The gradients ``g_i`` of n examples at one point in a window of optimizer steps, summarized on the host.

    Attributes:
        norms: ``||g_i||``, ``(n,)``, in the order of the processes, and for each process in the order of the steps.
        steps: Number of each example's optimizer step, ``(n,)``.
        sums: ``(dim,)`` sums over finite rows, of ``g_i`` (``total``), of its squares (``square``) and of
            ``g_i / ||g_i||`` (``unit``).
    """

    norms: Tensor
    steps: Tensor
    sums: dict[str, Tensor]

    @classmethod
    def join(cls, parts: Sequence[Examples]) -> Examples:
        """Returns the union of the parts of several processes."""
        sums = {name: torch.stack([part.sums[name] for part in parts]).sum(0) for name in SUMS}
        return cls(torch.cat([part.norms for part in parts]), torch.cat([part.steps for part in parts]), sums)

    def largest(self) -> dict[int, float]:
        """Returns the largest norm of each step, by its number; infinite if one of them is NaN."""
        norms = torch.nan_to_num(self.norms, nan=torch.inf, posinf=torch.inf)
        return self._by_step(norms, "amax")

    def means(self) -> dict[int, float]:
        """Returns the mean norm of each step, by its number; NaN or infinite if one of them is."""
        return self._by_step(self.norms, "mean")

    def _by_step(self, norms: Tensor, reduction: str) -> dict[int, float]:
        numbers, index = self.steps.unique(return_inverse=True)
        found = torch.zeros(len(numbers), dtype=norms.dtype)
        found = found.scatter_reduce(0, index, norms, reduction, include_self=False)
        return dict(zip(numbers.tolist(), found.tolist(), strict=True))


class ExampleGradients:
    """Collects rows of gradients at one point, in float64 on their device.

    Rows that are not finite keep their norm (infinite or NaN) and are left out of the sums.

    Args:
        dim: Dimensions of a row.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.steps: list[int] = []  # of each row
        self._norms: list[Tensor] = []
        self._sums = torch.zeros(len(SUMS), dim, dtype=torch.float64)
        self._open: list[tuple[Tensor, Tensor]] = []  # norms and sums of a step that may still be skipped

    def update(self, rows: Tensor) -> None:
        """Adds rows ``(B, dim)``; B may be 0. They count after `end_step`, if the step was made."""
        rows = rows.detach().double()
        norms = rows.norm(dim=1)
        rows = torch.where(norms.isfinite()[:, None], rows, 0.0)
        lengths = torch.where(norms.isfinite() & (norms > 0), norms, 1.0)
        sums = torch.stack([rows.sum(0), rows.square().sum(0), (rows / lengths[:, None]).sum(0)])
        self._open.append((norms, sums))

    def end_step(self, step: int, *, made: bool) -> None:
        """Ends optimizer step number ``step``; its rows count if it was ``made``, not skipped."""
        opened, self._open = self._open, []
        for norms, sums in opened if made else ():
            self.steps += [step] * len(norms)
            self._norms.append(norms)
            self._sums = self._sums.to(sums.device) + sums

    def packed(self) -> Tensor:
        """Returns sums and norms as one vector, on their device."""
        return torch.cat([self._sums.flatten(), *(norms.to(self._sums.device) for norms in self._norms)])

    def unpack(self, packed: Tensor) -> Examples:
        """Returns the examples of a vector of `packed` that is on the host."""
        norms = packed[self._sums.numel() :]
        sums = packed[: self._sums.numel()].view(self._sums.shape)
        return Examples(norms, torch.tensor(self.steps, dtype=torch.int64), dict(zip(SUMS, sums, strict=True)))

    def restore(self, seen: Examples) -> None:
        """Restores the value of `unpack`."""
        self.steps, self._norms = seen.steps.tolist(), [seen.norms]
        self._sums = torch.stack([seen.sums[name] for name in SUMS])


class GradientWindow:
    """Collects rows at several points until they are taken, with one transfer to the host for all of them.

    Args:
        dims: Dimensions of a row, by point.
    """

    def __init__(self, dims: Mapping[str, int]) -> None:
        self._dims = dict(dims)
        self._restart()

    def _restart(self) -> None:
        self._points = {point: ExampleGradients(dim) for point, dim in self._dims.items()}

    def update(self, point: str, rows: Tensor) -> None:
        """Adds rows ``(B, dim)`` at ``point``."""
        self._points[point].update(rows)

    def update_norms(self, point: str, rows: Tensor) -> None:
        """Adds the norms of rows ``(B, any)`` at ``point``, whose dimension is 1: nothing but norms is known there."""
        self.update(point, rows.detach().double().norm(dim=1, keepdim=True))

    def end_step(self, step: int, *, made: bool) -> None:
        """Ends an optimizer step, as `ExampleGradients.end_step`."""
        for rows in self._points.values():
            rows.end_step(step, made=made)

    def take(self, others: Sequence[Tensor]) -> tuple[dict[str, Examples], list[Tensor]]:
        """Returns the examples of all processes at each point, and ``others`` on the host, and empties the window.

        Collective: all processes must call it.

        Args:
            others: Float64 vectors to be transferred to the host along with them.
        """
        seen, read = self._read(others)
        self._restart()
        parts = distributed.gather_objects(seen)
        return {point: Examples.join([part[point] for part in parts]) for point in self._dims}, read

    def state_dict(self) -> dict[str, Any]:
        """Returns the examples of all processes. Collective."""
        seen, _ = self._read([])
        return {"parts": distributed.gather_objects({point: vars(part) for point, part in seen.items()})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores this process's share of the value of `state_dict`."""
        if parts := distributed.own_parts(state["parts"]):
            for point, rows in self._points.items():
                rows.restore(Examples.join([Examples(**part[point]) for part in parts]))

    def _read(self, others: Sequence[Tensor]) -> tuple[dict[str, Examples], list[Tensor]]:
        read = to_host([*(rows.packed() for rows in self._points.values()), *others])
        points = zip(self._points.items(), read, strict=False)
        return {point: rows.unpack(part) for (point, rows), part in points}, read[len(self._points) :]


def to_host(vectors: Sequence[Tensor]) -> list[Tensor]:
    """Moves vectors of one dtype to the host in one transfer, so that the host waits for the device once."""
    device = next((vector.device for vector in vectors if vector.device.type != "cpu"), torch.device("cpu"))
    sizes = [len(vector) for vector in vectors]
    return list(torch.cat([vector.to(device) for vector in vectors]).cpu().split(sizes))
