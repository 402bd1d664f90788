"""Statistics of gathered per-example gradients: pure functions on the host, in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clsnorm.errors import require_whole
from clsnorm.statistics.outlier_dimensions import jaccard

PERCENTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


def norm_numbers(norms: Tensor) -> dict[str, float]:
    """Returns mean, median, 95th and 99th percentile and maximum of gradient norms ``(n,)``.

    Percentiles interpolate linearly, as in NumPy. An infinite or NaN norm is not dropped: NaN counts as infinite, and
    then ``max`` and ``mean`` are infinite. NaN if there are no norms.
    """
    if not len(norms):
        return dict.fromkeys(("mean", *PERCENTILES), math.nan)
    norms = torch.nan_to_num(norms.double(), nan=math.inf, posinf=math.inf)
    ordered = norms.sort().values
    return {"mean": float(norms.mean()), **{name: _quantile(ordered, q) for name, q in PERCENTILES.items()}}


def _quantile(ordered: Tensor, q: float) -> float:
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    below, above = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)])
    return below if below == above or place == low else below + (place - low) * (above - below)


def direction_numbers(norms: Tensor, sums: dict[str, Tensor], *, top: int) -> dict[str, float]:
    r"""Returns statistics of the directions of n examples' gradients, from their sums.

    - ``mean_norm``: ``||E g||``.
    - ``agreement``: mean cosine of two different examples' gradients, over those that are not zero, in closed form:
      ``(||sum u||^2 - m) / (m (m - 1))`` with unit vectors u.
    - ``signal_to_noise``: ``||E g||^2 / tr Cov(g)`` without the bias of the plug-in value, which is
      ``tr Cov / n / tr Cov = 1/n``; near 0, and sometimes slightly below, if directions are random.
    - ``noise_scale``: ``tr Cov(g) / ||E g||^2``, its inverse: the batch size at which noise and signal are equal
      (McCandlish et al., 2018, arXiv:1812.06162, at [CLS] instead of at the parameters); infinite if there is no
      signal.
    - ``top_energy_share``: the ``top`` largest ``E[g_j^2]`` as a share of their sum; ``top/dim`` if all are equal.
    - ``participation_ratio``: ``(sum_j E[g_j^2])^2 / sum_j E[g_j^2]^2``: how many dimensions share the energy.

    Args:
        norms: ``(n,)``, as in `Examples`.
        sums: Their sums, as in `Examples`.
        top: Dimensions in the energy share.
    """
    finite = norms[norms.isfinite()]
    n, m = len(finite), int((finite > 0).sum())
    energy = sums["square"]
    if n < 2 or m < 2 or top > len(energy):
        names = ("mean_norm", "agreement", "signal_to_noise", "noise_scale", "top_energy_share", "participation_ratio")
        return dict.fromkeys(names, math.nan)
    mean = sums["total"] / n
    spread = float((energy.sum() - n * mean.square().sum()) / (n - 1))
    signal = float(mean.square().sum()) - spread / n
    share = energy / energy.sum()
    return {
        "mean_norm": float(mean.norm()),
        "agreement": float((sums["unit"].square().sum() - m) / (m * (m - 1))),
        "signal_to_noise": signal / spread if spread > 0 else math.inf,
        "noise_scale": spread / signal if signal > 0 else math.inf,
        "top_energy_share": float(share.topk(top).values.sum()),
        "participation_ratio": float(1 / share.square().sum()),
    }


def overlap_numbers(gradient_energy: Tensor, energy: Tensor, *, top: int) -> dict[str, float]:
    """Returns whether gradients are large in the same dimensions as embeddings.

    - ``top_overlap``: Jaccard index of the ``top`` dimensions by ``E[g_j^2]`` and by ``E[h_j^2]``. Two random sets
      share ``top^2 / dim`` dimensions on average.
    - ``rank_correlation``: Spearman's correlation of the two over all dimensions; 0 on average if they are unrelated.

    NaN if one of the two is equal in all dimensions, so that none is the largest.

    Args:
        gradient_energy: ``(dim,)``, mean squares of the gradients.
        energy: ``(dim,)``, mean squares of the embeddings.
        top: Dimensions in the sets.

    Raises:
        InputError: If ``top`` is not between 1 and ``dim``.
    """
    from torchmetrics.functional import spearman_corrcoef

    require_whole("top", top, least=1, most=len(energy), advice=f"There are {len(energy)} dimensions")
    if any(float(values.min()) == float(values.max()) for values in (gradient_energy, energy)):
        return {"top_overlap": math.nan, "rank_correlation": math.nan}
    overlap = jaccard(*(values.topk(top).indices for values in (gradient_energy, energy)))
    return {"top_overlap": overlap, "rank_correlation": float(spearman_corrcoef(gradient_energy, energy))}
