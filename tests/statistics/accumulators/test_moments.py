"""Moments equal a single pass over all rows, whatever the batches, merges, shifts and types."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clsnorm.errors import InputError
from clsnorm.statistics import Moments


def rows(count: int, dim: int, seed: int, mean: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, dtype=torch.float64, generator=generator)
    return mean + torch.randn(count, dim, dtype=torch.float64, generator=generator) @ mixing


def filled(*batches: torch.Tensor, dim: int = 3) -> Moments:
    moments = Moments(dim)
    for batch in batches:
        moments.update(batch)
    return moments


def assert_same(a: Moments, b: Moments, tolerance: float = 1e-12) -> None:
    assert a.count == b.count
    deviation = b.variance.sqrt()
    torch.testing.assert_close(a.mean, b.mean, rtol=tolerance, atol=tolerance * float(deviation.max()))
    scale = deviation[:, None] * deviation
    torch.testing.assert_close(a.covariance / scale, b.covariance / scale, rtol=0, atol=tolerance)
    torch.testing.assert_close(a.variance, b.variance, rtol=tolerance, atol=0)
    torch.testing.assert_close(a.mean_square, b.mean_square, rtol=tolerance, atol=0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    count=st.integers(4, 60),
    seed=st.integers(0, 10**6),
    mean=st.sampled_from([0.0, 1.0, -1e3, 1e6]),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    owners=st.lists(st.integers(0, 2), min_size=9, max_size=9),
    order=st.permutations([0, 1, 2]),
)
def test_any_split_and_any_merge_give_one_pass(
    count: int, seed: int, mean: float, cuts: list[int], owners: list[int], order: list[int]
) -> None:
    h = rows(count, 3, seed, mean)
    edges = [0, *sorted(min(cut, count) for cut in cuts), count]
    batches = [h[start:stop] for start, stop in pairwise(edges)]  # some are empty
    parts = [Moments(3) for _ in range(3)]
    for batch, owner in zip(batches, owners, strict=False):
        parts[owner].update(batch)
    merged = Moments(3)
    for index in order:
        merged.merge(parts[index])
    assert_same(merged, filled(h))
    assert_same(filled(*batches), filled(h))


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e7])
def test_parity_with_numpy(mean: float) -> None:
    h = rows(200, 5, seed=1, mean=mean)
    moments = filled(*h.split(32), dim=5)
    x = h.numpy()
    np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(x.T, bias=True), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(moments.variance, x.var(0), rtol=1e-9)
    np.testing.assert_allclose(moments.mean_square, (x**2).mean(0), rtol=1e-12)


def test_a_huge_mean_costs_no_digits() -> None:
    # Exact integers around 2^40: raw sums of squares would need 90 bits.
    small = torch.randint(-8, 8, (64, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shifted, plain = filled(*(small + 2.0**40).split(7)), filled(small)
    torch.testing.assert_close(shifted.covariance, plain.covariance, rtol=0, atol=1e-13)
    torch.testing.assert_close(shifted.mean - 2.0**40, plain.mean, rtol=0, atol=2.0**-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_embeddings_are_accumulated_in_float64(dtype: torch.dtype) -> None:
    h = rows(300, 3, seed=2, mean=8.0).to(dtype)
    moments = filled(*h.split(16))
    assert moments.covariance.dtype == torch.float64
    assert_same(moments, filled(h.double()))


def test_covariance_is_symmetric_and_not_negative() -> None:
    moments = filled(*rows(9, 4, seed=3, mean=1e8).split(2), dim=4)
    assert torch.equal(moments.covariance, moments.covariance.T)
    constant = filled(torch.full((7, 3), 0.1, dtype=torch.float64), torch.full((5, 3), 0.1, dtype=torch.float64))
    assert (constant.variance >= 0).all()
    assert (constant.variance < 1e-30).all()


def test_update_holds_no_graph_and_merge_does_not_change_the_other() -> None:
    h = rows(6, 3, seed=4).requires_grad_()
    a, b = filled(h), filled(rows(5, 3, seed=5))
    assert not a.mean.requires_grad
    before = {key: value.clone() if torch.is_tensor(value) else value for key, value in b.state_dict().items()}
    a.merge(b)
    a.update(h)
    for key, value in b.state_dict().items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(before[key]))


def test_merging_into_empty_does_not_share_memory() -> None:
    source, target = filled(rows(6, 3, seed=6)), Moments(3)
    target.merge(source)
    expected = source.mean.clone()
    target.update(rows(6, 3, seed=7))
    assert torch.equal(source.mean, expected)


def test_state_round_trips_through_a_file(tmp_path) -> None:
    first, last = rows(20, 3, seed=8).split(10)
    moments = filled(first)
    torch.save(moments.state_dict(), tmp_path / "moments.pt")
    loaded = Moments(3)
    loaded.load_state_dict(torch.load(tmp_path / "moments.pt", weights_only=True))
    loaded.update(last)
    moments.update(last)
    assert torch.equal(loaded.covariance, moments.covariance)
    assert loaded.count == 20


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: Moments(0), "`dim` to be a whole number of at least 1"),
        (lambda: Moments(3).mean, "nothing was added"),
        (lambda: Moments(3).update(torch.zeros(2, 4)), r"\(batch, 3\), but got \(2, 4\)"),
        (lambda: Moments(3).update(torch.zeros(2, 3, dtype=torch.int64)), "floating-point"),
        (lambda: Moments(3).merge(Moments(4)), "dimension 3 to merge, but got 4"),
        (lambda: Moments(3).load_state_dict(Moments(4).state_dict()), "dimension 3, but got 4"),
    ],
)
def test_wrong_input_is_refused(attempt, message: str) -> None:
    with pytest.raises(InputError, match=message):
        attempt()
