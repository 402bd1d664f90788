from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from clsnorm.callbacks import Saturation
from clsnorm.normalizers import Clip, DynamicTanh, Identity, Normalizer, QuantileToNormal
from clsnorm.statistics import Quantiles


def calibrated(kind: Any, h: torch.Tensor) -> Normalizer:
    normalizer, quantiles = kind(h.shape[1]), Quantiles(h.shape[1])
    quantiles.update(h)
    normalizer.calibrate(quantiles)
    return normalizer


@pytest.mark.parametrize(
    "make", [lambda h: DynamicTanh(4), lambda h: calibrated(Clip, h), lambda h: calibrated(QuantileToNormal, h)]
)
def test_slopes_are_small_at_saturated_values(make: Any) -> None:
    h = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    normalizer = make(h)
    x = torch.cat([h, 30 * h]).requires_grad_()
    (slope,) = torch.autograd.grad(normalizer(x).sum(), x)
    flat = normalizer.saturated(x.detach())
    assert 0 < flat.float().mean() < 1
    assert slope[flat].abs().max() < slope[~flat].abs().median()
    if not isinstance(normalizer, DynamicTanh):
        assert (slope[flat] == 0).all()


def validate(tap_saturates: bool, normalizer: Normalizer, *batches: torch.Tensor) -> tuple[dict[str, float], list[Any]]:
    reported: list[Any] = []
    encoder = SimpleNamespace(saturated=lambda cls: cls.abs() > 0.9 if tap_saturates else None)
    logged: dict[str, float] = {}
    module: Any = SimpleNamespace(
        classifier=SimpleNamespace(encoder=encoder, normalizer=normalizer),
        log_dict=lambda values, **_: logged.update({name: float(value) for name, value in values.items()}),
    )
    loop = SimpleNamespace(_batches_that_stepped=3)
    observer, trainer = Saturation(), SimpleNamespace(fit_loop=SimpleNamespace(epoch_loop=loop))
    observer.report = lambda **event: reported.append(event)  # type: ignore[method-assign]
    observer.on_validation_start(trainer, module)  # type: ignore[arg-type]
    for number, h in enumerate(batches):
        observer.on_validation_batch_end(trainer, module, {"h": h}, None, number)  # type: ignore[arg-type]
    observer.on_validation_epoch_end(trainer, module)  # type: ignore[arg-type]
    assert observer.summary() == logged
    return logged, reported


def test_shares_are_those_of_all_batches() -> None:
    logged, reported = validate(True, DynamicTanh(4), torch.zeros(3, 4), torch.full((1, 4), 9.0))
    assert logged == {"saturation/select/pooler": 0.25, "saturation/select/normalizer": 0.25}
    assert reported == []
    _, reported = validate(False, DynamicTanh(4), torch.full((2, 4), 9.0))
    assert reported == [{"step": 3, "kind": "saturation", "place": "saturation/select/normalizer", "value": 1.0}]


def test_nothing_is_logged_without_a_squashing_function() -> None:
    assert validate(False, Identity(4), torch.ones(2, 4)) == ({}, [])
