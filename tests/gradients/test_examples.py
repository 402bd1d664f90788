"""Sums over per-example gradients against numpy on all rows at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics.pairwise import cosine_similarity

from clsnorm.errors import InputError
from clsnorm.gradients import (
    ExampleGradients,
    Examples,
    GradientWindow,
    direction_numbers,
    norm_numbers,
    overlap_numbers,
)


def rows(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.3


def filled(values: torch.Tensor, *cuts: int) -> GradientWindow:
    """A window with a part of the rows in each step."""
    window = GradientWindow({"h": values.shape[1]})
    for step, part in enumerate(torch.tensor_split(values, sorted(cuts))):
        window.update("h", part)
        window.end_step(step, made=True)
    return window


def read(window: GradientWindow) -> Examples:
    return window.take([])[0]["h"]


@given(st.lists(st.integers(0, 40), max_size=5))
def test_any_split_into_batches_gives_the_same(cuts: list[int]) -> None:
    values = rows(40, 6)
    seen, whole = read(filled(values, *cuts)), read(filled(values))
    assert torch.equal(seen.norms, whole.norms)
    for name, total in seen.sums.items():
        torch.testing.assert_close(total, whole.sums[name], rtol=1e-12, atol=1e-12)


def test_state_resumes_where_it_was() -> None:
    values = rows(20, 4)
    first, second = filled(values[:9]), GradientWindow({"h": 4})
    second.load_state_dict(first.state_dict())
    second.update("h", values[9:])
    second.end_step(1, made=True)
    seen = read(second)
    torch.testing.assert_close(seen.norms, values.norm(dim=1))
    torch.testing.assert_close(seen.sums["total"], values.sum(0))
    assert seen.steps.tolist() == [0] * 9 + [1] * 11


def test_a_skipped_step_does_not_count() -> None:
    values = rows(30, 4)
    window = GradientWindow({"h": 4})
    for step, part in enumerate(values.split(5)):
        window.update("h", part[:2])
        window.update("h", part[2:] if step != 3 else part[2:] * math.inf)
        window.end_step(step, made=step != 3)
    counted = torch.cat([values[:15], values[20:]])
    seen = read(window)
    torch.testing.assert_close(seen.norms, counted.norm(dim=1))
    torch.testing.assert_close(seen.sums["square"], counted.square().sum(0))
    assert sorted(set(seen.steps.tolist())) == [0, 1, 2, 4, 5]
    assert not len(read(window).norms)  # taken: it is empty again


def test_rows_at_one_point_are_packed_and_unpacked() -> None:
    values, rows_at_h = rows(6, 3), ExampleGradients(3)
    rows_at_h.update(values)
    assert not len(rows_at_h.unpack(rows_at_h.packed()).norms)  # the step may yet be skipped
    rows_at_h.end_step(4, made=True)
    seen = rows_at_h.unpack(rows_at_h.packed())
    torch.testing.assert_close(seen.norms, values.norm(dim=1))
    assert seen.steps.tolist() == [4] * 6


def test_the_largest_norm_of_each_step() -> None:
    values = rows(12, 3)
    values[7, 1] = math.nan
    expected = {0: float(values[:5].norm(dim=1).max()), 1: math.inf, 2: float(values[9:].norm(dim=1).max())}
    assert read(filled(values, 5, 9)).largest() == expected


def test_other_numbers_are_returned_unchanged() -> None:
    others = torch.arange(3.0, dtype=torch.float64)
    assert torch.equal(filled(rows(4, 2)).take([others])[1][0], others)


def test_norm_numbers_equal_those_of_numpy() -> None:
    norms = rows(101, 3).norm(dim=1)
    found = norm_numbers(norms)
    assert found["mean"] == pytest.approx(float(np.mean(norms.numpy())), rel=1e-12)
    for name, q in (("median", 50), ("p95", 95), ("p99", 99), ("max", 100)):
        assert found[name] == pytest.approx(float(np.percentile(norms.numpy(), q)), rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_is_not_dropped(bad: float) -> None:
    values = rows(30, 3)
    values[7, 1] = bad
    seen = read(filled(values))
    found = norm_numbers(seen.norms)
    assert found["max"] == math.inf
    assert found["mean"] == math.inf
    assert math.isfinite(found["median"])
    rest = torch.cat([values[:7], values[8:]])
    torch.testing.assert_close(seen.sums["total"], rest.sum(0))
    assert direction_numbers(seen.norms, seen.sums, top=2)["mean_norm"] == pytest.approx(float(rest.mean(0).norm()))


def directions(values: torch.Tensor, *, top: int) -> dict[str, float]:
    seen = read(filled(values))
    return direction_numbers(seen.norms, seen.sums, top=top)


def test_direction_numbers_against_all_pairs() -> None:
    values = rows(50, 8)
    values[3] = 0  # a zero gradient has no direction
    found = directions(values, top=3)
    plain = values.numpy()
    cosines = cosine_similarity(np.delete(plain, 3, axis=0))
    off = cosines[~np.eye(len(cosines), dtype=bool)]
    assert found["agreement"] == pytest.approx(off.mean(), rel=1e-9)
    spread = np.trace(np.cov(plain.T))
    signal = (plain.mean(0) ** 2).sum() - spread / 50
    assert found["signal_to_noise"] == pytest.approx(signal / spread, rel=1e-9)
    assert found["noise_scale"] == pytest.approx(spread / signal, rel=1e-9)
    energy = np.sort((plain**2).mean(0))[::-1]
    assert found["top_energy_share"] == pytest.approx(energy[:3].sum() / energy.sum(), rel=1e-12)
    assert found["participation_ratio"] == pytest.approx(energy.sum() ** 2 / (energy**2).sum(), rel=1e-12)
    assert found["mean_norm"] == pytest.approx(np.linalg.norm(plain.mean(0)), rel=1e-12)


def test_signal_to_noise_has_no_bias() -> None:
    draws = [rows(20, 5, seed) - 0.3 for seed in range(400)]  # pure noise: the plug-in value would be 1/20
    found = [directions(draw, top=1)["signal_to_noise"] for draw in draws]
    assert abs(float(np.mean(found))) < 0.005


def test_too_few_rows_have_no_direction() -> None:
    assert all(math.isnan(value) for value in directions(rows(1, 4), top=2).values())
    assert all(math.isnan(value) for value in norm_numbers(torch.zeros(0)).values())


def test_overlap_numbers() -> None:
    energy = torch.tensor([9.0, 8.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    gradients = torch.tensor([7.0, 0.1, 0.2, 6.0, 0.3], dtype=torch.float64)
    found = overlap_numbers(gradients, energy, top=2)
    assert found["top_overlap"] == pytest.approx(1 / 3)
    assert found["rank_correlation"] == pytest.approx(stats.spearmanr(gradients, energy).statistic, abs=1e-6)
    assert all(math.isnan(value) for value in overlap_numbers(torch.ones(5), energy, top=2).values())
    with pytest.raises(InputError, match="`top`"):
        overlap_numbers(gradients, energy, top=6)
