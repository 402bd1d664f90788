"""Ratios with a denominator that may be zero."""

from __future__ import annotations

import math

import pytest
import torch

from clsnorm.statistics.ratios import ratio, top_share


def test_a_denominator_of_zero_gives_nan() -> None:
    assert ratio(1.0, 4.0) == 0.25
    assert math.isnan(ratio(1.0, 0.0))
    assert math.isnan(top_share(torch.zeros(4), 2))


@pytest.mark.parametrize("k", [1, 5, 8, 20])
def test_share_of_the_largest(k: int) -> None:
    energy = torch.rand(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = float(energy.sort(descending=True).values[:k].sum() / energy.sum())
    assert top_share(energy, k) == pytest.approx(expected, rel=1e-12)
