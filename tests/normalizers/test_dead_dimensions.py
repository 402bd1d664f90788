"""Dimensions that hardly vary: found by one rule, and left out by every map that divides by a spread."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from torch import Tensor, nn

from clsnorm.errors import InputError
from clsnorm.normalizers import CalibratedAffine, CovarianceMap, Normalizer
from clsnorm.normalizers.dead_dimensions import DEAD, dead_dimensions, require_dead_share

CONF = Path(__file__).parents[2] / "conf" / "normalizer"
DIVIDING = {
    path.stem: get_class(OmegaConf.load(path)["_target_"])
    for path in sorted(CONF.glob("*.yaml"))
    if "dead" in OmegaConf.load(path)
}
CALIBRATED = [key for key, kind in DIVIDING.items() if kind.calibration and not kind.changes_encoder]
Build = Callable[..., Normalizer]
Rows = Callable[..., Tensor]


def reference(center: np.ndarray, spread: np.ndarray, share: float) -> np.ndarray:
    varies = spread > 2.0**-23 * np.abs(center)
    if not varies.any():
        return ~varies
    median = np.percentile(spread[varies], 50, method="lower")
    return ~varies | (spread <= share * median)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.0, DEAD, 0.3])
def test_the_rule_equals_numpy(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    spread = random.lognormal(0, 4, size=(3, random.integers(1, 9)))
    spread[random.random(spread.shape) < 0.2] = 0
    center = random.normal(0, 1e6, size=spread.shape)
    found = dead_dimensions(torch.tensor(center), torch.tensor(spread), share=share)
    expected = np.stack([reference(c, s, share) for c, s in zip(center, spread, strict=True)])
    assert found.tolist() == expected.tolist()


def test_outliers_do_not_make_ordinary_dimensions_dead_and_scale_does_not_matter() -> None:
    spread = torch.tensor([0.2, 0.25, 1e4, 1e-9, 0.3, 0.2, 0.0])
    expected = [False, False, False, True, False, False, True]
    for factor in (1e-12, 1.0, 1e12):
        assert dead_dimensions(torch.zeros(7), factor * spread).tolist() == expected
    assert dead_dimensions(torch.full((7,), 1e7), torch.ones(7)).all()  # float32 cannot resolve it
    assert not dead_dimensions(torch.full((7,), 1e6), torch.ones(7)).any()
    assert dead_dimensions(torch.zeros(7), torch.zeros(7)).all()
    broken = torch.tensor([1.0, float("nan"), 0.0, 2.0])
    assert dead_dimensions(torch.zeros(4), broken).tolist() == [False, False, True, False]
    assert not dead_dimensions(torch.full((4,), float("nan")), broken[[1, 1, 1, 1]]).any()


@pytest.mark.parametrize("wrong", [-0.1, 0.6, "much", True, float("nan")])
def test_a_share_beyond_half_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="`dead`"):
        require_dead_share(wrong)


def with_dead(h: Tensor) -> Tensor:
    """Puts a dimension between the second and the third that is as MiniLM's: a spread of 1e-9."""
    noise = 1e-9 * torch.randn(len(h), generator=torch.Generator().manual_seed(len(h)), dtype=h.dtype)
    return torch.cat([h[:, :2], 1e-9 + noise[:, None], h[:, 2:]], 1)


@pytest.mark.parametrize("name", CALIBRATED)
def test_a_dead_dimension_is_centred_and_changes_no_other(name: str, build: Build, rows: Rows) -> None:
    options = {"components": 2} if name == "whiten_cut" else {}
    train, fresh = rows(200, dtype=torch.float64), rows(30, seed=1, dtype=torch.float64)
    alone = build(name, 6, on=train, dtype=torch.float64, **options)
    normalizer = build(name, 7, on=with_dead(train), dtype=torch.float64, **options)
    assert normalizer.details()["dead_dimensions"] == [2]
    assert alone.details()["dead_dimensions"] == []
    z = normalizer(with_dead(fresh))
    ordered = isinstance(normalizer, CovarianceMap) and normalizer.ordered
    place = 6 if ordered else 2
    others = [i for i in range(7) if i != place]
    torch.testing.assert_close(z[:, others], alone(fresh), rtol=1e-5, atol=1e-6)
    left = with_dead(fresh)[:, 2] - normalizer.calibrated_center[2]
    torch.testing.assert_close(z[:, place], torch.zeros(30).double() if options else left, rtol=1e-5, atol=1e-15)


@pytest.mark.parametrize("name", [key for key in CALIBRATED if key != "whiten_cut"])
def test_the_gain_is_that_of_the_others(name: str, build: Build, rows: Rows) -> None:
    train = with_dead(rows(200))
    fresh = with_dead(rows(9, seed=1))
    normalizer = build(name, 7, on=train)
    bound = normalizer.gain_bound(fresh)
    if isinstance(normalizer, CalibratedAffine):  # one gain for all examples
        assert normalizer.details()["gain"] == pytest.approx(float(bound[0]))
    alone = build(name, 6, on=rows(200)).gain_bound(rows(9, seed=1))
    torch.testing.assert_close(bound, alone.clamp(min=1), rtol=1e-3, atol=1e-3)
    before = build(name, 7, on=train, dead=0.0)
    assert before.details()["dead_dimensions"] == []
    assert bool((before.gain_bound(fresh) > 1.01 * bound).all()) or name in SHRUNK


SHRUNK = ("shrink_whiten", "shrink_whiten_oas")  # a shrunk covariance has no tiny eigenvalue


def test_a_dead_scale_of_the_encoders_norm_is_not_undone(build: Build, rows: Rows) -> None:
    norm = nn.LayerNorm(6)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.8, -5e-33, 2.0, 0.5, 1.0, 1e-9]))
        norm.bias.copy_(torch.tensor([0.1, 1e-32, 0.2, 0.3, 0.0, -9e-8]))
    normalizer = build("ln_strip")
    normalizer.take_encoder_norm(norm)
    h = norm(rows(9)).detach()
    assert normalizer.details() == {"dead_dimensions": [1, 5]}
    torch.testing.assert_close(normalizer(h)[:, [1, 5]], (h - norm.bias)[:, [1, 5]].detach())
    assert float(normalizer.gain_bound(h)[0]) == pytest.approx(2)


@pytest.mark.parametrize("name", ["isobn", "powernorm"])
def test_running_statistics_leave_a_dead_dimension_unscaled(name: str, build: Build, rows: Rows) -> None:
    normalizer = build(name, 7, warmup_steps=2)
    normalizer.as_affine()  # before the first batch
    for step in range(5):
        h = with_dead(rows(16, seed=step))
        z = normalizer(h)
    assert normalizer.details()["dead_dimensions"] == [2]
    assert torch.equal(z[:, 2], h[:, 2])
    assert not torch.allclose(z, h, rtol=0.1)
    assert float(normalizer.as_affine()[0][2]) == 1
    assert torch.equal(normalizer.eval()(h)[:, 2], h[:, 2])


def test_a_state_from_before_the_rule_leaves_nothing_out(build: Build, rows: Rows) -> None:
    train = with_dead(rows(200))
    before = build("quantile", 7, on=train, dead=0.0)
    state = {name: value for name, value in before.state_dict().items() if name != "dead"}
    loaded = build("quantile", 7, on=train)
    assert loaded.details()["dead_dimensions"] == [2]
    loaded.load_state_dict(state)
    assert loaded.details()["dead_dimensions"] == []
    assert torch.equal(loaded(train), before(train))


def test_if_nothing_varies_the_embedding_is_only_centred(build: Build, rows: Rows) -> None:
    same = rows(1, dtype=torch.float64).repeat(9, 1)
    for name in CALIBRATED:
        if name == "whiten_cut":
            continue
        normalizer = build(name, on=same, dtype=torch.float64)
        assert normalizer.details()["dead_dimensions"] == list(range(6))
        fresh = rows(5, seed=1, dtype=torch.float64)
        torch.testing.assert_close(normalizer(fresh), fresh - same[:5], rtol=1e-5, atol=1e-6)
