"""The nulls of the report against those of `clsnorm.statistics`, and against plain simulation."""

from __future__ import annotations

import numpy as np
import pytest
from rows import filled

from clsnorm.report.claims.noise_shares import noise_share
from clsnorm.statistics import describe


@pytest.mark.parametrize("name", ["centred_share", "top_energy_share"])
def test_nulls_are_those_of_the_statistics(name: str) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 24))
    keys = {"centred_share": "centre/centred_share", "top_energy_share": "energy/top_5"}
    expected = describe(filled(rows, np.arange(200) % 2), intervals=True)[keys[name]]
    found = noise_share(name, 200, 24)
    assert found == pytest.approx((expected.null, expected.low, expected.high), rel=0.03)


def test_the_share_of_the_mean_is_that_of_simulated_noise() -> None:
    noise = np.random.default_rng(1).normal(size=(4000, 20, 6))
    shares = (noise.mean(1) ** 2).sum(1) / (noise**2).mean(1).sum(1)
    mean, low, high = noise_share("centred_share", 20, 6)
    assert mean == pytest.approx(shares.mean(), rel=0.02)
    assert ((shares >= low) & (shares <= high)).mean() == pytest.approx(0.95, abs=0.012)
