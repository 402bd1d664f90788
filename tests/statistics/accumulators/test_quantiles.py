"""The sketch of quantiles against numpy: exact while it holds all rows, within its bound afterwards."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from clsnorm.errors import InputError
from clsnorm.statistics import Quantiles
from clsnorm.statistics.accumulators.quantiles import CAPACITY

SHARES = [0.0, 0.01, 0.25, 0.5, 0.731, 0.99, 1.0]


def rows(count: int, seed: int = 0) -> Tensor:
    h = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.stack([h[:, 0] + 1000, h[:, 1].exp(), h[:, 2].round()], 1)  # shifted, skewed, with ties


def filled(*parts: Tensor) -> Quantiles:
    quantiles = Quantiles(3)
    for part in parts:
        quantiles.update(part)
    return quantiles


@pytest.mark.parametrize("count", [1, 2, 5, 300, CAPACITY])
def test_exact_where_it_holds_all_rows(count: int) -> None:
    h = rows(count)
    quantiles = filled(*h.split(37))
    expected = np.quantile(h.double().numpy(), SHARES, axis=0)
    np.testing.assert_allclose(quantiles.at(SHARES), expected, rtol=1e-12)
    assert (quantiles.count, quantiles.is_finite()) == (count, True)


def rank_error(quantiles: Quantiles, h: Tensor) -> float:
    """The largest distance, as a share of the rows, between a requested rank and the ranks of its quantile."""
    worst = 0.0
    for share, values in zip(SHARES, quantiles.at(SHARES), strict=True):
        below, through = (h < values).sum(0) / len(h), (h <= values).sum(0) / len(h)
        worst = max(worst, float(torch.stack([below - share, share - through]).max()))
    return worst


@pytest.mark.parametrize("order", ["random", "sorted"])
def test_within_its_bound_beyond(order: str) -> None:
    h = rows(50_000)
    h = h.sort(0).values if order == "sorted" else h
    bound = math.ceil(math.log2(len(h) / CAPACITY)) / CAPACITY
    quantiles = filled(*h.split(1000))
    assert rank_error(quantiles, h) <= bound + 2 / len(h)
    torch.testing.assert_close(quantiles.at([0.0, 1.0]), torch.stack([h.amin(0), h.amax(0)]).double())
    assert sum(len(level) for level in quantiles._levels) < 5 * CAPACITY
    merged = filled(*h[:20_000].split(333))
    merged.merge(filled(*h[20_000:].split(4_000)))
    assert merged.count == len(h)
    assert rank_error(merged, h) <= 2 * bound


def test_merging_small_parts_is_exact() -> None:
    h = rows(200)
    first, second = filled(h[:50]), filled(h[50:])
    before = second.at(SHARES)
    first.merge(second)
    first.merge(Quantiles(3))
    assert torch.equal(first.at(SHARES), filled(h).at(SHARES))
    assert torch.equal(second.at(SHARES), before)
    first.all_reduce()
    assert torch.equal(first.at(SHARES), filled(h).at(SHARES))


def test_state_is_plain_and_complete() -> None:
    h = rows(6000)
    quantiles = filled(*h[:5000].split(100))
    resumed = Quantiles(3)
    resumed.load_state_dict(quantiles.state_dict())
    for sketch in (quantiles, resumed):
        sketch.update(h[5000:])
    assert torch.equal(quantiles.at(SHARES), resumed.at(SHARES))
    with pytest.raises(InputError, match="dimension 2, but got 3"):
        Quantiles(2).load_state_dict(quantiles.state_dict())


def test_refusals() -> None:
    quantiles = Quantiles(3)
    for use in (lambda: quantiles.at([0.5]), quantiles.is_finite):
        with pytest.raises(InputError, match="nothing was added"):
            use()
    with pytest.raises(InputError, match=r"\(batch, 3\), but got \(4, 2\)"):
        quantiles.update(torch.zeros(4, 2))
    with pytest.raises(InputError, match="floating-point"):
        quantiles.update(torch.zeros(4, 3, dtype=torch.int64))
    with pytest.raises(InputError, match="dimension 3 to merge, but got 2"):
        quantiles.merge(Quantiles(2))
    with pytest.raises(InputError, match="whole number of at least 1"):
        Quantiles(0)
    quantiles.update(torch.zeros(4, 3))
    with pytest.raises(InputError, match="between 0 and 1"):
        quantiles.at([1.1])
    quantiles.update(torch.full((1, 3), float("nan")))
    assert not quantiles.is_finite()
