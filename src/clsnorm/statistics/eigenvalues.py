"""Spectra in float64, largest eigenvalue first: what is above rounding noise, and how far two of them differ."""

from __future__ import annotations

import torch
from torch import Tensor


def resolved(values: Tensor) -> Tensor:
    """Returns the eigenvalues above rounding noise, ``dim`` times the float precision of the largest one.

    Embeddings after a layer norm have a direction without variance. Its computed eigenvalue is noise, which a root or a
    logarithm would blow up.
    """
    return values[values > _rounding(values)]


def log_change(now: Tensor, start: Tensor) -> float:
    """Returns the mean of ``|ln(l_i / l0_i)|`` over the eigenvalues, by rank, that are `resolved` in either spectrum.

    An eigenvalue that is resolved in one spectrum only is compared with the rounding noise of the other, so a spectrum
    that collapses counts as a large change. NaN if neither has a resolved one.
    """
    most = max(len(resolved(spectrum)) for spectrum in (now, start))
    logs = [spectrum[:most].clamp(min=_rounding(spectrum)).log() for spectrum in (now, start)]
    return float((logs[0] - logs[1]).abs().mean())


def _rounding(values: Tensor) -> float:
    return float(values[0]) * len(values) * torch.finfo(values.dtype).eps
