"""`RandomLabels`: class means under labels at random, and numbers of classes for all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from clsnorm.statistics.noise_draws import generator

if TYPE_CHECKING:
    from clsnorm.statistics.accumulators.snapshot import Snapshot

LABELLINGS, FEWER = 399, 199
MEMORY = 1 << 25  # numbers above which fewer labellings are drawn
FLAT = 1e-10  # eigenvalues of class means below this share of the largest one count as zero, as in ``classes/nc1``


class RandomLabels:
    """Class means and sums of unit vectors for R labellings that keep the size of each class.

    If the snapshot's sample holds all rows (up to 2,048 of them), labels are permuted. Else the class means are drawn
    from their limit, the normal distribution with the covariance that a permutation gives them (Hájek, 1961):
    ``Cov(m_c, m_c') = n / (n - 1) S (delta_cc' / n_c - 1 / n)``. It needs only the covariance S and the sizes, which
    are sums over any number of batches and processes. R is 399; 199 with very many classes. The draws depend on the
    sizes and a fixed seed alone.

    The numbers subtract the scatter between classes from that of all rows, in the space of the class means, which is
    fast but inexact where classes collapse; random labels do not. Those of the observed labels are computed from the
    scatter within classes itself.

    Args:
        s: The rows. Their covariance must not be zero.

    Attributes:
        counts: Rows of each class, ``(C,)``.
        offsets: Class means around the mean of all rows, ``(R, C, dim)``.
        units: Sums of unit vectors, ``(R, C, dim)``.
        direct: Rows with a direction, ``(R, C)``.
    """

    def __init__(self, s: Snapshot) -> None:
        self.counts, self.n, self.number = s.between.counts, s.between.n, s.between.number
        self._values, self._vectors, self._total = s.eigenvalues, s.eigenvectors, float(s.covariance.trace())
        draws = LABELLINGS if 2 * LABELLINGS * self.number * s.dim < MEMORY else FEWER
        draw = generator(s.dim, s.count, self.number)
        permuted = len(s.sample.rows) == s.count
        self.offsets, self.units, self.direct = (self._permuted if permuted else self._normal)(s, draws, draw)

    def _permuted(self, s: Snapshot, draws: int, draw: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        from scipy.sparse import csr_array

        units, direct = _directions(s.sample.rows)
        columns = torch.cat([s.sample.rows - s.mean, units, direct[:, None]], dim=1).numpy()
        ends = np.cumsum(np.tile(self.counts.numpy().astype(np.int64), draws))
        places = np.concatenate([draw.permutation(s.count) for _ in range(draws)])
        member = csr_array((np.ones(len(places)), places, np.concatenate([[0], ends])), shape=(len(ends), s.count))
        sums = torch.from_numpy(member @ columns).view(draws, self.number, -1)
        means = sums[..., : s.dim] / self.counts[:, None]
        return means, sums[..., s.dim : 2 * s.dim], sums[..., -1]

    def _normal(self, s: Snapshot, draws: int, draw: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        means = self._around_mean(draws, draw, s.eigenvalues, s.eigenvectors)
        units, direct = _directions(s.sample.rows)
        centred = units - units.sum(0) / direct.sum().clamp(min=1)
        values, vectors = torch.linalg.eigh(centred.T @ centred / direct.sum().clamp(min=1))
        kept = 1 - float(s.directions.sums["zeros"]) / self.n  # rows with a direction
        sizes = (self.counts * kept).expand(draws, -1)
        spread = self._around_mean(draws, draw, values.clamp(min=0), vectors)
        middle = s.directions.sums["unit"].cpu() / (self.n * kept or 1.0)
        return means, sizes[..., None] * (middle + spread), sizes

    def _around_mean(self, draws: int, draw: np.random.Generator, values: Tensor, vectors: Tensor) -> Tensor:
        """Draws means of the classes around that of all rows, ``(draws, C, dim)``, given a covariance."""
        free = torch.from_numpy(draw.standard_normal((draws, self.number, len(values))))
        free = free * (values * self.n / (self.n - 1)).sqrt()
        common = (self.counts.sqrt()[:, None] * free).sum(1, keepdim=True) / self.n
        return (free / self.counts.sqrt()[:, None] - common) @ vectors.T

    @property
    def weighted(self) -> Tensor:
        """Factors F of ``S_B = F^T F``, ``(R, C, dim)``."""
        return (self.counts / self.n).sqrt()[:, None] * self.offsets

    @property
    def simplex(self) -> Tensor:
        """Class means around their own mean, ``(R, C, dim)``."""
        return self.offsets - self.offsets.mean(1, keepdim=True)

    def fisher_ratio(self) -> Tensor:
        """Returns ``tr(S_B) / tr(S_W)``, ``(R,)``."""
        between = self.weighted.square().sum((1, 2))
        return between / (self._total - between)

    def separability(self, *, shrinkage: float) -> Tensor:
        """Returns ``tr(shrunk^-1 S_B)``, ``(R,)``, in the space of the class means (Woodbury, 1950)."""
        weighted = self.weighted
        level = (self._total - weighted.square().sum((1, 2))) / len(self._values)
        rotated = weighted @ self._vectors
        over = rotated / ((1 - shrinkage) * self._values + shrinkage * level[:, None])[:, None]
        inner = over @ rotated.transpose(1, 2)
        rest = torch.eye(self.number, dtype=inner.dtype) - (1 - shrinkage) * inner
        return torch.linalg.solve(rest, inner).diagonal(dim1=1, dim2=2).sum(1)

    def nc1(self) -> Tensor:
        """Returns ``tr(S_W S_B^+) / C`` with uniform weights in ``S_B``, ``(R,)``."""
        simplex = self.simplex
        inverse = torch.linalg.pinv(simplex @ simplex.transpose(1, 2), hermitian=True, rtol=FLAT)
        rotated = simplex @ self._vectors
        shared = simplex @ self.weighted.transpose(1, 2)
        within = (rotated * self._values) @ rotated.transpose(1, 2) - shared @ shared.transpose(1, 2)
        return (inverse @ inverse @ within).diagonal(dim1=1, dim2=2).sum(1)

    def nc2_norms(self) -> Tensor:
        """Returns the coefficient of variation of the norms of the class means, ``(R,)``."""
        norms = self.simplex.norm(dim=2)
        return norms.std(1, correction=0) / norms.mean(1)

    def nc2_angles(self) -> Tensor:
        """Returns the mean ``|cos + 1/(C-1)|`` over pairs of class means, ``(R,)``."""
        units = torch.nn.functional.normalize(self.simplex, dim=2)
        first, second = torch.triu_indices(self.number, self.number, offset=1)
        return ((units @ units.transpose(1, 2))[:, first, second] + 1 / (self.number - 1)).abs().mean(1)

    def share_within(self, basis: Tensor) -> Tensor:
        """Returns the share of ``tr S_B`` in the subspace of an orthonormal ``basis`` ``(dim, k)``, ``(R,)``."""
        weighted = self.weighted
        return (weighted @ basis).square().sum((1, 2)) / weighted.square().sum((1, 2))

    def alignment(self) -> Tensor:
        """Returns ``E||u - v||^2`` over pairs of one class, ``(R,)``."""
        pairs = (self.direct * (self.direct - 1)).sum(1)
        return (2 * self.direct.square() - 2 * self.units.square().sum(2)).sum(1).clamp(min=0) / pairs


def _directions(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Returns unit vectors ``(n, dim)``, zero for a zero row, and whether each row has a direction, ``(n,)``."""
    norms = rows.norm(dim=1)
    return rows / torch.where(norms > 0, norms, 1.0)[:, None], (norms > 0).to(rows.dtype)
