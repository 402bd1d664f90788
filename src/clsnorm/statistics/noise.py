"""Expected values of isotropic noise: independent standard normal dimensions, as many rows and dimensions as seen."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot


def noise_eigenvalues(s: Snapshot) -> Tensor:
    """Returns `isotropic_eigenvalues` for the rows and dimensions of a snapshot, ``(dim,)``."""
    return torch.from_numpy(isotropic_eigenvalues(s.dim, s.count))


def noise_energies(s: Snapshot) -> Tensor:
    """Returns `isotropic_energies` for the rows and dimensions of a snapshot, ``(dim,)``."""
    return torch.from_numpy(isotropic_energies(s.dim, s.count))


def isotropic_energies(dim: int, count: int) -> np.ndarray:
    """Returns the expected mean squares ``(dim,)``, largest first, of ``count`` draws from a standard normal.

    Each is chi-squared with ``count`` degrees of freedom over ``count``; their order statistics are taken at Blom's
    places ``(i - 3/8) / (dim + 1/4)`` (Blom, 1958), and the quantiles by Wilson and Hilferty (1931).
    """
    places = (np.arange(dim, 0, -1) - 0.375) / (dim + 0.25)
    spread = 2 / (9 * count)
    return (1 - spread + _normal_quantiles(places) * math.sqrt(spread)) ** 3


def _normal_quantiles(places: np.ndarray) -> np.ndarray:
    from statistics import NormalDist

    normal = NormalDist()
    return np.array([normal.inv_cdf(float(place)) for place in places])


def isotropic_eigenvalues(dim: int, count: int) -> np.ndarray:
    """Returns the expected eigenvalues ``(dim,)``, largest first, of the covariance of ``count`` standard normals.

    Quantiles of the Marchenko-Pastur law (1967) with ratio ``dim / count`` at ``(i - 1/2) / rank``, its density summed
    numerically; with fewer draws than dimensions the rest is zero.
    """
    ratio = dim / count
    low, high = (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2
    # Substituting x = middle + radius * cos(t) removes the density's square-root singularities at the edges.
    angle = np.linspace(0, np.pi, 4001)
    x = (low + high) / 2 + (high - low) / 2 * np.cos(angle)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.nan_to_num(np.sin(angle) ** 2 / x)
    share = np.concatenate([[0.0], np.cumsum((weight[1:] + weight[:-1]) / 2)])
    rank = min(dim, count)
    values = np.zeros(dim)
    values[:rank] = np.interp((np.arange(rank) + 0.5) / rank, share / share[-1], x)
    return values
