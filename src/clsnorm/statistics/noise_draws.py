"""Draws of what the statistics of isotropic noise are computed from: independent standard normal dimensions.

No rows are drawn where their summary has a known distribution, so the cost does not depend on the number of rows. The
draws depend only on the sizes and a fixed seed, and are cached in the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from clsnorm.statistics.accumulators.snapshot import Snapshot

DRAWS = 999
SPECTRA = 399  # draws of all eigenvalues of a covariance, which cost most
WIDE = 512  # dimensions from which half as many are drawn
SMALL = 1 << 15  # rows times dimensions up to which whole embeddings are drawn for moments
TINY = 1 << 12  # the same for numbers of pairs of rows


def generator(*sizes: int) -> np.random.Generator:
    """Returns a generator that depends on ``sizes`` alone."""
    return np.random.default_rng([20191103, *sizes])


def energy_draws(s: Snapshot) -> Tensor:
    """Returns mean squares of the dimensions, ``(DRAWS, dim)``: chi-squared with n degrees of freedom, over n."""
    return torch.from_numpy(_squares(s.dim, s.count)) / s.count


def variance_draws(s: Snapshot) -> Tensor:
    """Returns variances of the dimensions, ``(DRAWS, dim)``: chi-squared with ``n - 1`` degrees of freedom, over n."""
    return torch.from_numpy(_squares(s.dim, s.count - 1)) / s.count


def spread_draws(s: Snapshot) -> Tensor:
    """Returns standard deviations of the dimensions, ``(DRAWS, dim)``."""
    return variance_draws(s).sqrt()


def eigenvalue_draws(s: Snapshot) -> Tensor:
    """Returns spectra of the covariance, largest first, ``(R, dim)``."""
    return torch.from_numpy(wishart_spectra(s.dim, s.count - 1)) / s.count


def uncentred_eigenvalue_draws(s: Snapshot) -> Tensor:
    """Returns spectra of ``E[h h^T]``, largest first, ``(R, dim)``."""
    return torch.from_numpy(wishart_spectra(s.dim, s.count)) / s.count


def row_draws(s: Snapshot) -> Iterator[Tensor]:
    """Yields ``SPECTRA`` draws of the rows, ``(n, dim)``; only for small numbers."""
    draw = generator(s.dim, s.count, 12)
    for _ in range(SPECTRA):
        yield torch.from_numpy(draw.standard_normal((s.count, s.dim)))


@lru_cache(maxsize=8)
def _squares(dim: int, free: int) -> np.ndarray:
    return generator(dim, free, 1).chisquare(free, (DRAWS, dim))


@lru_cache(maxsize=8)
def wishart_spectra(dim: int, free: int) -> np.ndarray:
    """Returns eigenvalues of Wishart matrices with ``free`` degrees of freedom, largest first, ``(R, dim)``.

    A draw costs ``dim^2`` and no rows. With fewer degrees of freedom than dimensions the rest is zero.
    """
    from scipy.linalg import eigvalsh_tridiagonal

    number = spectra_of(dim)
    spectra = np.zeros((number, dim))
    for spectrum, diagonal, beside in zip(spectra, *_tridiagonal(dim, free, number), strict=True):
        spectrum[: len(diagonal)] = np.clip(eigvalsh_tridiagonal(diagonal, beside)[::-1], 0, None)
    return spectra


def spectra_of(dim: int) -> int:
    """Returns how many spectra are drawn."""
    return SPECTRA if dim <= WIDE else SPECTRA // 2


@lru_cache(maxsize=8)
def wishart_traces(dim: int, free: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns ``tr(S)`` and ``||S||_F^2`` of Wishart matrices with ``free`` degrees of freedom, ``(DRAWS,)`` each."""
    diagonal, beside = _tridiagonal(dim, free, DRAWS)
    return diagonal.sum(1), (diagonal**2).sum(1) + 2 * (beside**2).sum(1)


def _tridiagonal(dim: int, free: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns diagonals and off-diagonals of tridiagonal matrices with the eigenvalues of Wishart matrices.

    These are ``B B^T`` of bidiagonal matrices of independent chi variables (Dumitriu and Edelman, 2002).
    """
    rank, longer = min(dim, free), max(dim, free)
    draw = generator(dim, free, number)
    diagonal = draw.chisquare(longer - np.arange(rank), (number, rank))
    below = draw.chisquare(rank - 1 - np.arange(rank - 1), (number, rank - 1))
    beside = np.sqrt(diagonal[:, :-1] * below)
    diagonal[:, 1:] += below
    return diagonal, beside


@lru_cache(maxsize=8)
def pulls(dim: int, count: int) -> np.ndarray:
    """Returns the mean along each eigenvector of ``E[h h^T]`` over the root of its eigenvalue, ``(R, dim)``.

    Left singular vectors of noise are uniform on the sphere, and these are their components along ``(1, ..., 1)``.
    """
    number = spectra_of(dim)
    vectors = generator(dim, count, 3).standard_normal((number, dim))
    rest = generator(dim, count, 4).chisquare(max(count - dim, 1), number) * (count > dim)
    rank = min(dim, count)
    vectors[:, rank:] = 0
    return vectors / np.sqrt((vectors**2).sum(1) + rest)[:, None]


@lru_cache(maxsize=8)
def correlation_draws(dim: int, free: int) -> np.ndarray:
    """Returns correlations of all pairs of dimensions, ``(DRAWS, pairs)``; for few dimensions.

    Covariances are Wishart matrices, by Bartlett's decomposition (1933) if there are enough degrees of freedom.
    """
    draw = generator(dim, free, 5)
    rows = draw.standard_normal((DRAWS, dim, min(dim, free)))
    if free >= dim:
        rows = np.tril(rows, -1)
        rows[:, np.arange(dim), np.arange(dim)] = np.sqrt(draw.chisquare(free - np.arange(dim), (DRAWS, dim)))
    scatter = rows @ rows.transpose(0, 2, 1)
    length = np.sqrt(scatter.diagonal(axis1=1, axis2=2))
    first, second = np.triu_indices(dim, 1)
    return scatter[:, first, second] / (length[:, first] * length[:, second])


@lru_cache(maxsize=8)
def standardized_moments(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean absolute skewness and the mean excess kurtosis of the columns of noise, ``(DRAWS,)`` each."""
    draw = generator(rows, columns, 6)
    found = np.zeros((2, DRAWS))
    for k in range(DRAWS):
        x = draw.standard_normal((rows, columns))
        x -= x.mean(0)
        square = x * x
        second = square.mean(0)
        found[0, k] = np.abs((square * x).mean(0) / second**1.5).mean()
        found[1, k] = ((square * square).mean(0) / second**2).mean() - 3
    return found[0], found[1]


@lru_cache(maxsize=8)
def norm_variations(dim: int, count: int) -> np.ndarray:
    """Returns coefficients of variation of the norms of ``count`` rows, ``(DRAWS,)``."""
    draw = generator(dim, count, 7)
    lengths = (np.sqrt(draw.chisquare(dim, count)) for _ in range(DRAWS))
    return np.array([row.std() / row.mean() for row in lengths])
