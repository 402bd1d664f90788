"""How unequally the dimensions share the mean square ``E[h_j^2]``."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot
from clsnorm.statistics.families.centre import ZHOU
from clsnorm.statistics.noise import noise_energies
from clsnorm.statistics.noise_draws import energy_draws
from clsnorm.statistics.ratios import top_share
from clsnorm.statistics.statistic import largest, statistic


def mean_square(s: Snapshot) -> Tensor:
    """Returns ``E[h_j^2]``, ``(dim,)``, on the host."""
    return s.moments.mean_square.cpu()


for k in (1, 3, 5, 10):
    statistic(
        f"energy/top_{k}",
        unit="share",
        source=ZHOU,
        of=mean_square,
        null_of=noise_energies,
        drawn_of=energy_draws,
        meaning=f"Share of the {largest(k, 'dimension')} in the mean square.",
        alias="top_energy_share" if k == 5 else "",
    )(partial(top_share, k=k))


@statistic(
    "energy/top_percent",
    unit="share",
    source=ZHOU,
    of=mean_square,
    null_of=noise_energies,
    drawn_of=energy_draws,
)
def top_percent(energies: Tensor) -> float:
    """Share of the largest 1 % of the dimensions in the mean square; at least one dimension."""
    return top_share(energies, max(1, round(0.01 * len(energies))))


@statistic(
    "energy/hoyer",
    unit="share",
    source="Hoyer, 2004",
    of=mean_square,
    null_of=noise_energies,
    drawn_of=energy_draws,
)
def hoyer(energies: Tensor) -> float:
    r"""Hoyer's sparseness of the mean squares: 0 if all are equal, 1 if a single one is not zero.

    ``(\sqrt d - ||e||_1 / ||e||_2) / (\sqrt d - 1)``.

    References:
        Hoyer, 2004, Journal of Machine Learning Research 5.

    Example:
        >>> import torch
        >>> hoyer(torch.tensor([0.0, 3.0, 0.0, 0.0])), hoyer(torch.ones(4))
        (1.0, 0.0)
    """
    root, length = math.sqrt(len(energies)), float(energies.norm())
    if len(energies) == 1 or length == 0:
        return math.nan
    return (root - float(energies.abs().sum()) / length) / (root - 1)
