"""Ratios that are NaN where their denominator is zero."""

from __future__ import annotations

import math

from torch import Tensor


def ratio(a: float, b: float) -> float:
    """Returns ``a / b``; NaN if b is zero."""
    return a / b if b else math.nan


def top_share(values: Tensor, k: int) -> float:
    """Returns the share of the ``k`` largest of non-negative ``values`` in their sum; NaN if that is zero."""
    total = float(values.sum())
    return float(values.topk(min(k, len(values))).values.sum()) / total if total > 0 else math.nan
