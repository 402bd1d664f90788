"""Arms: fitted to the rows given and to no other; every normalizer that works without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from clsnorm.errors import InputError
from clsnorm.probes.arms import Arm, FittedArm

CONF = Path(__file__).parents[2] / "conf" / "normalizer"
OPTIONS = sorted(path.stem for path in CONF.glob("[!_]*.yaml"))
DIM = 16


def arm(name: str) -> Arm:
    norm = torch.nn.LayerNorm(DIM)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, DIM))
        norm.bias.copy_(torch.linspace(-1, 1, DIM))
    node: Any = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    return Arm(name, node, norm)


def rows(n: int = 400, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    mixed = draw.normal(size=(n, DIM)) @ draw.normal(size=(DIM, DIM)) + 3 * draw.normal(size=DIM)
    return mixed.astype(np.float32)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_normalizer_can_be_fitted_and_maps_to_finite_float64(name: str) -> None:
    fitted = arm(name).fit(rows())
    found = fitted(rows(seed=1))
    assert isinstance(fitted, FittedArm)
    assert found.shape == (400, DIM)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_a_row_s_output_does_not_depend_on_the_other_rows(name: str) -> None:
    fitted, held = arm(name).fit(rows()), rows(seed=1)
    np.testing.assert_allclose(fitted(held)[:5], fitted(held[:5]), atol=1e-9)


@pytest.mark.parametrize("name", OPTIONS)
def test_two_fits_are_equal_and_the_global_random_state_stays(name: str) -> None:
    before = torch.random.get_rng_state()
    first, again = (arm(name).fit(rows(), seed=3)(rows(seed=1)) for _ in range(2))
    assert (first == again).all()
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_encoder_s_layer_norm_is_not_changed() -> None:
    refit = arm("ln_refit")
    assert refit.norm is not None
    before = refit.norm.weight.detach().clone()
    found = refit.fit(rows())(rows())
    assert torch.equal(before, refit.norm.weight)
    np.testing.assert_allclose(found.std(axis=0), 1, rtol=1e-4)  # and yet its effect is there
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)


def test_running_statistics_are_those_of_all_rows() -> None:
    x = rows().astype(np.float64)
    found = arm("batchnorm_noaffine").fit(rows())(rows())
    np.testing.assert_allclose(
        found, (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0, ddof=1) + 1e-5), rtol=1e-3, atol=1e-3
    )


def test_a_normalizer_that_needs_a_layer_norm_is_refused_where_there_is_none() -> None:
    with pytest.raises(InputError, match="layer norm"):
        Arm("ln_strip", arm("ln_strip").node, None).fit(rows())


@pytest.mark.parametrize(
    ("name", "invertible"),
    [("identity", True), ("rotation", True), ("zca_whitening", True), ("scale", True), ("ln_refit", True),
     ("layernorm", False), ("abtt", False), ("quantile", False)],
)  # fmt: skip
def test_which_maps_are_affine_and_can_be_undone(name: str, invertible: bool) -> None:
    assert arm(name).fit(rows()).is_invertible() == invertible
