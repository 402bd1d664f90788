"""Change of spectra, apart from rounding noise."""

from __future__ import annotations

import math

import pytest
import torch

from clsnorm.statistics.eigenvalues import log_change, resolved


def test_change_of_a_spectrum_leaves_out_rounding_noise() -> None:
    start = torch.tensor([4.0, 2.0, 1e-17], dtype=torch.float64)
    now = torch.tensor([8.0, 1.0, 1e-18], dtype=torch.float64)
    assert log_change(now, start) == pytest.approx(math.log(2))
    collapsed = torch.tensor([4.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    whole = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    assert log_change(collapsed, whole) == log_change(whole, collapsed) > 20
    assert math.isnan(log_change(torch.zeros(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)))
    assert resolved(start).tolist() == [4.0, 2.0]
