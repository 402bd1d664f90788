"""Numbers of a spectrum: eigenvalues in, largest first, one float out; NaN where all are zero."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def resolved(values: Tensor) -> Tensor:
    """Returns the eigenvalues above rounding noise, which is ``dim`` times the float precision of the largest one.

    Embeddings behind a layer norm have a direction without variance, and what stands in its place is noise, of which a
    root or a logarithm would make much.
    """
    return values[values > _rounding(values)]


def explained(values: Tensor, k: int) -> float:
    """Returns the share of the ``k`` largest eigenvalues in their sum, ``sum_{i<=k} l_i / tr S``."""
    total = float(values.sum())
    return float(values[:k].sum()) / total if total > 0 else math.nan


def effective_rank(values: Tensor) -> float:
    """Returns ``exp(-sum p log p)`` with ``p = l / sum l`` (Roy and Vetterli, 2007), from 1 to the dimension.

    Example:
        >>> round(effective_rank(torch.ones(8, dtype=torch.float64)), 6)
        8.0
    """
    total = values.sum()
    if float(total) <= 0:
        return math.nan
    share = values / total
    return float(torch.special.entr(share).sum().exp())


def rankme(second_moment_eigenvalues: Tensor) -> float:
    """Returns RankMe: `effective_rank` of the singular values of the embeddings, not centred (Garrido et al., 2023).

    The singular values are the roots of ``n`` times the eigenvalues of ``E[h h^T]``; ``n`` cancels. The published eps
    of 1e-7 is left out: ``p log p`` is 0 at 0. Eigenvalues that are rounding noise count as 0: see `resolved`.

    References:
        RankMe, https://arxiv.org/abs/2210.02885
    """
    return effective_rank(resolved(second_moment_eigenvalues).sqrt())


def stable_rank(values: Tensor) -> float:
    """Returns ``tr S / l_1``."""
    return float(values.sum() / values[0]) if float(values[0]) > 0 else math.nan


def condition_number(values: Tensor) -> float:
    """Returns ``l_1 / l_d``; infinite if the smallest eigenvalue is zero to float precision."""
    if float(values[0]) <= 0:
        return math.nan
    return float(values[0] / values[-1]) if len(resolved(values)) == len(values) else math.inf


def slope(values: Tensor) -> float:
    """Returns the exponent of a power law ``l_i ~ i^-slope``, by least squares on logarithms of the positive ones.

    The last tenth is left out, where finite samples bend the spectrum.
    """
    positive = resolved(values)
    kept = positive[: max(2, math.ceil(0.9 * len(positive)))].log()
    if len(kept) < 2:
        return math.nan
    rank = torch.arange(1, len(kept) + 1, dtype=kept.dtype).log()
    centred = rank - rank.mean()
    return -float((centred * kept).sum() / centred.square().sum())


def log_change(now: Tensor, start: Tensor) -> float:
    """Returns the mean of ``|ln(l_i / l0_i)|`` over the eigenvalues, by rank, that are `resolved` in either spectrum.

    One that is resolved in one of them alone counts with the rounding noise of the other: a spectrum that collapses has
    changed by much. NaN where one has none.
    """
    most = max(len(resolved(spectrum)) for spectrum in (now, start))
    logs = [spectrum[:most].clamp(min=_rounding(spectrum)).log() for spectrum in (now, start)]
    return float((logs[0] - logs[1]).abs().mean())


def _rounding(values: Tensor) -> float:
    return float(values[0]) * len(values) * torch.finfo(values.dtype).eps
