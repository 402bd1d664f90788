"""The bound of the gain is never exceeded by the Jacobian, and reached where that is claimed."""

from collections.abc import Callable

import pytest
import torch

import clsnorm.normalizers
from clsnorm.normalizers import BatchWhitening, Normalizer, PowerNorm, TruncatedWhitening
from clsnorm.statistics import Moments

KNOWN_NONE = (BatchWhitening, PowerNorm)  # no bound in closed form; a backward pass that is not that of its Jacobian


def largest_singular_values(normalizer: Normalizer, h: torch.Tensor) -> torch.Tensor:
    """Of each example's Jacobian, ``(B,)``; of the whole batch's, ``(1,)``, where the normalizer mixes it.

    Training changes a normalizer, so each call starts from the same state.
    """
    state = {name: value.clone() for name, value in normalizer.state_dict().items()}

    def restored(x: torch.Tensor) -> torch.Tensor:
        normalizer.load_state_dict(state)
        return normalizer(x)

    jacobian = torch.autograd.functional.jacobian(restored, h)  # (B, d, B, d)
    if normalizer.mixes_batch:
        return torch.linalg.matrix_norm(jacobian.reshape(h.numel(), h.numel()), 2)[None]
    rows = torch.arange(len(h))
    return torch.linalg.matrix_norm(jacobian[rows, :, rows], 2)


def spoil(h: torch.Tensor, factor: float) -> torch.Tensor:
    """Squeezes one direction: a badly conditioned batch."""
    direction = torch.nn.functional.normalize(torch.arange(1.0, h.shape[1] + 1, dtype=h.dtype), dim=0)
    return h - (1 - factor) * (h @ direction)[:, None] * direction


@pytest.mark.parametrize("factor", [1.0, 1e-3])
def test_no_gradient_grows_by_more(
    key: str, factor: float, ready: Callable[..., Normalizer], rows: Callable[..., torch.Tensor]
) -> None:
    normalizer = ready(key, dtype=torch.float64)
    h = spoil(rows(8, seed=7, dtype=torch.float64), factor)
    largest = largest_singular_values(normalizer, h)
    bound = normalizer.gain_bound(h)
    if bound is None:  # a class need not have one; of the built-in ones only these do not
        shipped = type(normalizer).__name__ in clsnorm.normalizers.__all__
        assert isinstance(normalizer, KNOWN_NONE) or not shipped
        return
    assert not isinstance(normalizer, KNOWN_NONE)
    assert bound.shape == (len(h),)
    assert not bound.requires_grad
    assert bool((largest <= bound * (1 + 1e-6) + 1e-12).all())


def test_the_bound_is_reached_by_equal_weights(
    key: str, build: Callable[..., Normalizer], rows: Callable[..., torch.Tensor]
) -> None:
    options = {"groups": 2} if key == "groupnorm" else {}  # in a block of two dimensions no direction is free
    normalizer = build(key, on=rows(64), dtype=torch.float64, **options)
    if isinstance(normalizer, (*KNOWN_NONE, TruncatedWhitening)):
        pytest.skip("claims no equality")
    h = rows(8, seed=7, dtype=torch.float64)
    largest = largest_singular_values(normalizer, h)
    bound = normalizer.gain_bound(h)
    if bound is None:
        pytest.skip("claims no bound")
    torch.testing.assert_close(bound[: len(largest)], largest, rtol=1e-6, atol=1e-12)


def test_an_empty_part_has_no_bound(
    key: str, ready: Callable[..., Normalizer], rows: Callable[..., torch.Tensor]
) -> None:
    normalizer = ready(key)
    normalizer.eval()
    normalizer(rows(0))
    bound = normalizer.gain_bound(rows(0))
    assert bound is None or bound.shape == (0,)


def test_a_new_calibration_has_a_new_bound(build: Callable[..., Normalizer], rows: Callable[..., torch.Tensor]) -> None:
    normalizer = build("zca_whitening", on=rows(64))
    before = normalizer.gain_bound(rows(1))
    moments = Moments(6)
    moments.update(10 * rows(64))
    normalizer.calibrate(moments)
    assert before is not None
    torch.testing.assert_close(normalizer.gain_bound(rows(1)), before / 10)


def test_half_types_are_bounded_in_float32(build: Callable[..., Normalizer], rows: Callable[..., torch.Tensor]) -> None:
    normalizer = build("layernorm")
    h = rows(4).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        bound = normalizer.gain_bound(h)
    assert bound is not None
    assert bound.dtype == torch.float32
