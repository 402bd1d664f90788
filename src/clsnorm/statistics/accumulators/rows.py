"""Accumulators beside `Moments`: directions, tails, norms, classes, and a sample that no split of the data changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from clsnorm.distributed import all_reduce_sum, gather_objects
from clsnorm.errors import InputError


class Sums:
    """Named sums in float64 that merge by addition; the base of the accumulators below.

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
        """Adds what ``other`` has seen."""
        self.add(**other.sums)

    def all_reduce(self) -> None:
        """Replaces the sums by those of all processes. Collective; call it once, after the last update."""
        self.sums = {name: all_reduce_sum(value.cpu()) for name, value in self.sums.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the sums."""
        return {name: value.cpu().clone() for name, value in self.sums.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes over what `state_dict` returned."""
        self.sums = {name: state[name].clone() for name in self.sums}


class Directions(Sums):
    """Sums over unit vectors ``u = h / ||h||`` and over norms: cosines and norms in closed form.

    A zero vector has no direction: it is counted in ``zeros`` and left out of the sums over u. A row whose dimensions
    are all equal has no kurtosis: it is counted in ``flat``.
    """

    def __init__(self, dim: int) -> None:
        scalars: dict[str, tuple[int, ...]] = dict.fromkeys(
            ("norm", "norm_1", "norm_square", "kurtosis", "zeros", "flat"), ()
        )
        super().__init__(unit=(dim,), unit_square=(dim,), **scalars)

    def update(self, rows: Tensor) -> None:
        """Adds rows ``(n, dim)``, float64."""
        norms = rows.norm(dim=1)
        units = rows / torch.where(norms > 0, norms, 1.0)[:, None]
        centred = rows - rows.mean(1, keepdim=True)
        variance = centred.square().mean(1)
        across = centred.pow(4).mean(1) / torch.where(variance > 0, variance, 1.0).square()
        self.add(
            unit=units.sum(0),
            unit_square=units.square().sum(0),
            norm=norms.sum(),
            norm_1=rows.abs().sum(),
            norm_square=norms.square().sum(),
            kurtosis=across.sum(),
            zeros=(norms == 0).sum().double(),
            flat=(variance == 0).sum().double(),
        )


class Tails:
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

    def merge(self, other: Tails) -> None:
        """Adds what ``other`` has seen."""
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
        moved = Tails(len(mean))
        moved.shift, moved.powers, moved.count = self.shift, self.powers, self.count
        _, second, third, fourth = moved._around(mean) / self.count
        return second, third, fourth

    def state_dict(self) -> dict[str, Any]:
        """Returns the sums."""
        return {"count": self.count, "shift": self.shift.cpu().clone(), "powers": self.powers.cpu().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self.count, self.shift, self.powers = int(state["count"]), state["shift"].clone(), state["powers"].clone()


class Classes(Sums):
    """Sums by class: counts, rows, unit vectors, and how many rows have a direction.

    Args:
        dim: Dimensions of a row.
        number: Number of classes.
    """

    def __init__(self, dim: int, number: int) -> None:
        self.number = number
        super().__init__(count=(number,), total=(number, dim), unit=(number, dim), direct=(number,))

    def update(self, rows: Tensor, labels: Tensor) -> None:
        """Adds rows ``(n, dim)``, float64, with class ids ``(n,)``."""
        labels = labels.to(rows.device).long()
        if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= self.number):
            raise InputError(f"Expected class ids from 0 to {self.number - 1}, but got {labels.unique().tolist()}")
        member = torch.nn.functional.one_hot(labels, self.number).to(rows.dtype).T
        norms = rows.norm(dim=1)
        units = rows / torch.where(norms > 0, norms, 1.0)[:, None]
        direct = (norms > 0).to(rows.dtype)
        self.add(count=member.sum(1), total=member @ rows, unit=member @ units, direct=member @ direct)


class Norms:
    """The norms of all rows, kept: 8 bytes a row, so that percentiles are exact."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []

    def update(self, rows: Tensor) -> None:
        """Adds rows ``(n, dim)``, float64."""
        self._parts.append(rows.norm(dim=1).cpu().numpy())

    def merge(self, other: Norms) -> None:
        """Adds what ``other`` has seen."""
        self._parts += other._parts

    def all_reduce(self) -> None:
        """Joins the norms of all processes. Collective."""
        self._parts = gather_objects(self.values)

    @property
    def values(self) -> np.ndarray:
        """All norms, ``(n,)``, in the order they came."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the norms."""
        return {"values": torch.from_numpy(self.values)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes over what `state_dict` returned."""
        self._parts = [state["values"].numpy()]


class Sample:
    """A random sample of rows that depends on their ids alone, not on batches, order or processes.

    Kept are the ``size`` rows whose ids have the smallest hashes (bottom-k sampling), in the order of the hashes.

    Args:
        size: Rows kept.
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

    def merge(self, other: Sample) -> None:
        """Adds what ``other`` has seen."""
        self._take(other._keys, other.rows)

    def shared(self, other: Sample) -> tuple[Tensor, Tensor]:
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
        """Takes over what `state_dict` returned."""
        self._keys, self.rows = state["keys"].numpy().view(np.uint64), state["rows"].clone()


def hashed(ids: np.ndarray) -> np.ndarray:
    """Returns the SplitMix64 hash of each id, uint64: a bijection without a pattern (Steele, Lea and Flood, 2014)."""
    x = ids.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
