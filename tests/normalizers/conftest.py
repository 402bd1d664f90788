"""Every normalizer under conf/normalizer, built as a run builds it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from last_norm import encoder_norm
from omegaconf import OmegaConf

from clsnorm.normalizers import Normalizer

CONF = Path(__file__).parents[2] / "conf" / "normalizer"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "key" in metafunc.fixturenames:
        metafunc.parametrize("key", sorted(path.stem for path in CONF.glob("*.yaml")))


@pytest.fixture
def rows() -> Callable[..., torch.Tensor]:
    """Embeddings as BERT's: correlated, a mean larger than the spread, one dimension larger than the others."""

    def rows(count: int, dim: int = 6, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        mixing = torch.randn(dim, dim, generator=torch.Generator().manual_seed(99), dtype=torch.float64) / dim**0.5
        mixing[:, 0] *= 4
        noise = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return (noise @ mixing + torch.linspace(-2, 3, dim)).to(dtype)

    return rows


@pytest.fixture
def build() -> Callable[..., Normalizer]:
    """Builds the normalizer of a YAML file; calibrates it on ``on`` if it needs calibration."""

    def build(
        key: str, dim: int = 6, *, on: torch.Tensor | None = None, dtype: torch.dtype = torch.float32, **options: object
    ) -> Normalizer:
        normalizer = instantiate(OmegaConf.load(CONF / f"{key}.yaml"), _convert_="all")(dim, **options).to(dtype)
        normalizer.take_encoder_norm(encoder_norm(dim))
        if on is not None and normalizer.calibration is not None:
            accumulator = normalizer.calibration(dim)
            accumulator.update(on)
            normalizer.calibrate(accumulator)
        return normalizer

    return build


@pytest.fixture
def ready(build: Callable[..., Normalizer], rows: Callable[..., torch.Tensor]) -> Callable[..., Normalizer]:
    """Builds a calibrated normalizer that has seen 25 training batches and has no trivial parameter."""

    def ready(key: str, *, dtype: torch.dtype = torch.float32, **options: object) -> Normalizer:
        normalizer = build(key, on=rows(64), **options).to(dtype)
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in normalizer.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
            for step in range(25):
                normalizer(rows(8, seed=100 + step, dtype=dtype))
        return normalizer

    return ready


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """The type of embeddings and normalizer in a comparison with a reference."""
    return request.param


@pytest.fixture
def agree(dtype: torch.dtype, record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Compares with a reference; ``--junitxml`` stores the largest deviation, relative where values exceed one."""
    largest = 0.0

    def agree(own: object, expected: object, *, tolerance: float | None = None) -> None:
        nonlocal largest
        tolerance = {torch.float32: 2e-5, torch.float64: 1e-9}[dtype] if tolerance is None else tolerance
        a, b = (np.asarray(x.detach() if isinstance(x, torch.Tensor) else x, dtype=np.float64) for x in (own, expected))
        assert a.shape == b.shape
        deviation = float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))
        largest = max(largest, deviation)
        record_property("deviation", largest)
        assert deviation < tolerance

    return agree
