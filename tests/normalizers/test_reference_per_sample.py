"""Normalizers of single embeddings against torch, scikit-learn or numpy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.preprocessing import normalize
from torch import Tensor, nn

from clsnorm.normalizers import GroupNorm, Normalizer

Build = Callable[..., Normalizer]
Rows = Callable[..., Tensor]
Agree = Callable[..., None]


@pytest.fixture
def h(rows: Rows, dtype: torch.dtype) -> Tensor:
    return rows(40, dim=12, dtype=dtype)


@pytest.fixture
def scaled(build: Build, dtype: torch.dtype) -> Callable[..., Normalizer]:
    """Builds a normalizer with weights and biases that are not trivial."""

    def scaled(key: str, **options: object) -> Normalizer:
        normalizer = build(key, 12, dtype=dtype, **options)
        with torch.no_grad():
            for parameter in (normalizer.weight, normalizer.bias):
                if parameter is not None:
                    parameter.copy_(torch.linspace(-1, 2, 12))
        return normalizer

    return scaled


def torch_reference(kind: type[nn.Module], own: Normalizer, *arguments: object, **options: object) -> nn.Module:
    reference = kind(*arguments, **options).double()
    reference.load_state_dict(own.state_dict())
    return reference


def test_reference_of_layernorm(scaled: Build, h: Tensor, agree: Agree) -> None:
    own = scaled("layernorm")
    agree(own(h), torch_reference(nn.LayerNorm, own, 12)(h.double()))


def test_reference_of_rmsnorm(scaled: Build, h: Tensor, agree: Agree) -> None:
    own = scaled("rmsnorm")
    agree(own(h), torch_reference(nn.RMSNorm, own, 12, eps=1e-6)(h.double()))


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_reference_of_groupnorm(groups: int, scaled: Build, h: Tensor, agree: Agree) -> None:
    own = scaled("groupnorm", groups=groups)
    agree(own(h), torch_reference(nn.GroupNorm, own, groups, 12)(h.double()))


def test_groups_divide_the_dimensions() -> None:
    assert [GroupNorm(dim).groups for dim in (384, 768, 1024, 6, 7, 1)] == [16, 16, 16, 3, 1, 1]


def test_reference_of_l2norm(scaled: Build, h: Tensor, agree: Agree) -> None:
    agree(scaled("l2norm")(h), normalize(h.double().numpy()))
    agree(scaled("l2norm", temperature=0.05)(h), 20 * normalize(h.double().numpy()))


def test_reference_of_scalenorm(scaled: Build, h: Tensor, agree: Agree) -> None:
    """`ScaleNorm` against scikit-learn's `normalize`."""
    own = scaled("scalenorm")
    agree(own(h), np.sqrt(12) * normalize(h.double().numpy()), tolerance=1e-6)  # the parameter is float32's root of 12
    with torch.no_grad():
        own.length.fill_(0.5)
    agree(own(h), 0.5 * normalize(h.double().numpy()))


def test_reference_of_dyt(scaled: Build, h: Tensor, agree: Agree) -> None:
    own, x = scaled("dyt", alpha=0.7), h.double().numpy()
    weight = own.weight.detach().double().numpy()
    grown = np.exp(2 * float(own.alpha.detach()) * x)
    agree(own(h), weight * (grown - 1) / (grown + 1) + weight)


def test_dynamic_tanh_saturates(build: Build) -> None:
    h = torch.full((1, 12), 100.0, requires_grad=True)
    build("dyt", 12)(h).sum().backward()
    assert float(h.grad.abs().max()) == 0
