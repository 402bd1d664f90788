"""Expected values of isotropic noise: independent standard normal dimensions, as many rows and dimensions as seen."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from clsnorm.statistics.accumulators.snapshot import Snapshot


def noise_eigenvalues(s: Snapshot) -> Tensor:
    """Returns `isotropic_eigenvalues` of the covariance, which has ``n - 1`` degrees of freedom, ``(dim,)``."""
    return torch.from_numpy(isotropic_eigenvalues(s.dim, s.count - 1))


def noise_uncentred_eigenvalues(s: Snapshot) -> Tensor:
    """Returns `isotropic_eigenvalues` of ``E[h h^T]``, which has n degrees of freedom, ``(dim,)``."""
    return torch.from_numpy(isotropic_eigenvalues(s.dim, s.count))


def noise_energies(s: Snapshot) -> Tensor:
    """Returns `isotropic_energies` of the mean squares, which have n degrees of freedom, ``(dim,)``."""
    return torch.from_numpy(isotropic_energies(s.dim, s.count))


def noise_spreads(s: Snapshot) -> Tensor:
    """Returns the roots of `isotropic_energies` of the variances, with ``n - 1`` degrees of freedom, ``(dim,)``."""
    return torch.from_numpy(isotropic_energies(s.dim, s.count - 1)).sqrt()


def mean_chi(free: float) -> float:
    """Returns the mean of a chi variable: the mean norm of a standard normal in ``free`` dimensions."""
    return math.sqrt(2) * math.exp(math.lgamma((free + 1) / 2) - math.lgamma(free / 2))


def chi_variation(free: float) -> float:
    """Returns the coefficient of variation of a chi variable, about ``1 / sqrt(2 free)``."""
    return math.sqrt(max(0.0, free / mean_chi(free) ** 2 - 1))


def noise_directions(dim: int, free: int) -> float:
    """Returns the participation ratio of noise: the ratio of the means of ``tr(S)^2`` and ``tr(S^2)``.

    ``(d m + 2) / (d + m + 1)`` with m degrees of freedom, from the second moments of a Wishart matrix.
    """
    return (dim * free + 2) / (dim + free + 1)


def outlier_probability(dim: int, deviations: float) -> float:
    """Returns the probability that one of ``dim`` normal values is over ``deviations`` from their mean.

    In units of their standard deviation (divisor ``dim``), so no value can be farther off than ``sqrt(dim - 1)``: the
    density over that length is ``(1 - x^2)^((dim - 4) / 2)`` (Thompson, 1935), here summed numerically.
    """
    if dim < 4 or deviations >= math.sqrt(dim - 1):
        return 0.0
    angle = np.linspace(0, np.pi / 2, 20001)  # x = sin(angle)
    density = np.cos(angle) ** (dim - 3)
    beyond = angle >= math.asin(deviations / math.sqrt(dim - 1))
    return float(np.trapezoid(density[beyond], angle[beyond]) / np.trapezoid(density, angle))


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
    if count < 1:
        return np.zeros(dim)
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
