"""`BiasDose` and `OutlierRule` against numpy, and the ends of the dose against other normalizers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clsnorm.errors import InputError
from clsnorm.model.head import match_function
from clsnorm.normalizers import Normalizer
from clsnorm.normalizers.outlier_rule import OutlierRule
from clsnorm.statistics import Moments

Build = Callable[..., Normalizer]
Rows = Callable[..., Tensor]
Agree = Callable[..., None]
DOSES = (-2.0, -1, 0, 0.25, 1, 2, 4, 8)


def wide(h: Tensor) -> np.ndarray:
    return h.double().numpy().copy()


@pytest.fixture
def planted(rows: Rows) -> Callable[..., Tensor]:
    """Rows of 40 dimensions with an outlier by its mean, the 8th, and one by its variance, the 12th."""

    def planted(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        h = rows(count, dim=40, seed=seed, dtype=dtype)
        h[:, 7] += 40
        h[:, 11] *= 30
        return h

    return planted


@pytest.mark.parametrize("k", DOSES)
@pytest.mark.parametrize(("where", "chosen"), [("all", range(40)), ("outliers", [7, 11]), ("others", None)])
def test_reference_of_bias_dose(
    k: float, where: str, chosen: object, build: Build, planted: Rows, dtype: torch.dtype, agree: Agree
) -> None:
    train, fresh = planted(300, dtype=dtype), planted(30, seed=1, dtype=dtype)
    chosen = [i for i in range(40) if i not in (7, 11)] if chosen is None else list(chosen)
    mean = np.zeros(40)
    mean[chosen] = wide(train).mean(0)[chosen]
    expected = wide(fresh) + (k - 1) * mean
    agree(build("bias_dose", 40, on=train, dtype=dtype, k=k, where=where)(fresh), expected)
    size = np.sqrt((wide(train) ** 2).sum() / ((wide(train) + (k - 1) * mean) ** 2).sum())
    agree(build("bias_dose", 40, on=train, dtype=dtype, k=k, where=where, keep_size=True)(fresh), size * expected)


@pytest.mark.parametrize("keep_size", [False, True])
def test_one_is_the_identity_to_the_bit(keep_size: bool, build: Build, rows: Rows) -> None:
    h = rows(20)
    h[0] = torch.tensor([0.0, -0.0, 1e-38, -1e30, 3.0, 7.0])
    for where in ("all", "outliers", "others"):
        z = build("bias_dose", on=rows(64), k=1, where=where, keep_size=keep_size)(h)
        assert z.view(torch.int32).tolist() == h.view(torch.int32).tolist()


def test_zero_is_centring_to_the_bit(build: Build, rows: Rows) -> None:
    centred = build("center", on=rows(64))(rows(20, seed=1))
    assert torch.equal(build("bias_dose", on=rows(64), k=0)(rows(20, seed=1)), centred)


def test_reference_of_partial_centring(build: Build, planted: Rows) -> None:
    """``center_outliers`` and ``center_others`` centre complementary dimensions."""
    train = planted(300)
    mean, far = wide(train).mean(0), np.isin(np.arange(40), [7, 11])
    for name, chosen in (("center_outliers", far), ("center_others", ~far)):
        normalizer = build(name, 40, on=train, dtype=torch.float64)
        np.testing.assert_allclose(normalizer(train), wide(train) - chosen * mean, atol=1e-5)
        assert normalizer.details()["chosen_dimensions"] == np.flatnonzero(chosen).tolist()


@pytest.mark.parametrize("k", DOSES)
@pytest.mark.parametrize("keep_size", [False, True])
def test_the_share_of_the_mean_is_recorded(k: float, keep_size: bool, build: Build, planted: Rows) -> None:
    train = planted(300)
    normalizer = build("bias_dose", 40, on=train, dtype=torch.float64, k=k, keep_size=keep_size)
    z = wide(normalizer(train))
    share = (z.mean(0) ** 2).sum() / (z**2).sum(1).mean()
    assert normalizer.details()["mean_share"] == pytest.approx(share, rel=1e-4, abs=1e-9)
    if keep_size:
        assert (z**2).mean() == pytest.approx((wide(train) ** 2).mean(), rel=1e-6)


@pytest.mark.parametrize("k", DOSES)
def test_a_function_matched_head_computes_the_same_at_each_dose(k: float, build: Build, rows: Rows) -> None:
    torch.manual_seed(0)
    head, h = nn.Linear(6, 3).double(), rows(20, dtype=torch.float64)
    expected = head(h)
    for keep_size in (False, True):
        other = nn.Linear(6, 3).double()
        other.load_state_dict(head.state_dict())
        normalizer = build("bias_dose", on=rows(64), dtype=torch.float64, k=k, keep_size=keep_size)
        match_function(other, normalizer)
        torch.testing.assert_close(other(normalizer(h)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("wrong", [float("inf"), float("nan"), "much", True])
def test_a_dose_that_is_no_number_is_refused(wrong: object, build: Build) -> None:
    with pytest.raises(InputError, match="`k` to be a finite number"):
        build("bias_dose", k=wrong)


def test_an_unknown_part_is_refused(build: Build) -> None:
    with pytest.raises(InputError, match=r"`where` to be one of all, outliers, others.*'outlier'"):
        build("bias_dose", where="outlier")


@pytest.mark.parametrize("seed", range(5))
def test_outlier_rule_equals_numpy(seed: int) -> None:
    random = np.random.default_rng(seed)
    h = random.normal(size=(50, 60)) * random.lognormal(0, 1, 60) + random.standard_t(2, 60)
    moments = Moments(60)
    moments.update(torch.tensor(h))
    mean, variance = h.mean(0), h.var(0)
    expected = (np.abs(mean - mean.mean()) > 3 * mean.std()) | (variance > 5 * variance.mean())
    rule = OutlierRule(60, mean_deviations=3, variance_ratio=5)
    assert rule.find(moments).tolist() == expected.tolist()
    assert expected.any()
    named = OutlierRule(60, mean_deviations=3, variance_ratio=5, dims=[4, 2])
    assert named.find(moments).nonzero().flatten().tolist() == [2, 4]


@pytest.mark.parametrize("dims", [[60], [-1], [1, 1], [True], [0.5]])
def test_outlier_rule_refuses_dimensions_that_do_not_exist(dims: list[object]) -> None:
    with pytest.raises(InputError, match="a list of different dimensions from 0 to 59"):
        OutlierRule(60, mean_deviations=3, variance_ratio=5, dims=dims)
