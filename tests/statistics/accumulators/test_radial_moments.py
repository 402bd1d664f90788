"""The fourth moment of the distance from the mean, for any split of the rows."""

import pytest
import torch
from torch import Tensor

from clsnorm.errors import InputError
from clsnorm.statistics import Moments, RadialMoments


def rows(count: int, seed: int = 0) -> Tensor:
    h = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return h * torch.tensor([1.0, 3, 0.1, 1]) + torch.tensor([50.0, -2, 0, 1])


def filled(*parts: Tensor) -> RadialMoments:
    moments = RadialMoments(4)
    for part in parts:
        moments.update(part)
    return moments


def fourth_radius(h: Tensor) -> float:
    return float(((h - h.mean(0)) ** 2).sum(1).square().mean())


def test_equals_its_definition_over_any_split() -> None:
    h = rows(100)
    expected = pytest.approx(fourth_radius(h), rel=1e-11)
    assert filled(h).fourth_radius == expected
    assert filled(h[:0], *h.split(7)).fourth_radius == expected
    assert filled(h[:1]).fourth_radius == 0
    merged = filled(h[:3])
    other = filled(h[3:] + 1e-9)  # another shift
    merged.merge(other)
    assert merged.fourth_radius == expected
    empty = filled()
    empty.merge(merged)
    empty.merge(filled())
    empty.all_reduce()
    assert empty.fourth_radius == expected
    assert torch.allclose(empty.covariance, torch.cov(h.T, correction=0))


def test_state_is_complete() -> None:
    h = rows(60)
    resumed = RadialMoments(4)
    resumed.load_state_dict(filled(h[:20]).state_dict())
    resumed.update(h[20:])
    assert resumed.fourth_radius == pytest.approx(fourth_radius(h), rel=1e-11)


def test_moments_without_fourth_ones_are_not_merged() -> None:
    plain, moments = Moments(4), filled(rows(9))
    plain.update(rows(5))
    before = moments.state_dict()
    with pytest.raises(InputError, match="RadialMoments to merge, but got Moments, without fourth moments"):
        moments.merge(plain)
    assert all(
        torch.equal(torch.as_tensor(value), torch.as_tensor(before[k])) for k, value in moments.state_dict().items()
    )
