"""`Directions`: sums of unit vectors and of norms."""

from __future__ import annotations

import torch
from torch import Tensor

from clsnorm.statistics.accumulators.sums import Sums


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
